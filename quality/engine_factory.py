"""Creates the validation engine that the settings choose."""

from __future__ import annotations

from pathlib import Path

from quality.duckdb_engine import DuckDBEngine
from quality.engine import Engine


def create_engine(name: str, tables: Path | None = None) -> Engine:
    """Return a new engine.

    Args:
        name: Value of `SEGUE_ENGINE`: "duckdb" or "spark".
        tables: Root folder of the tables, which may be on object storage; None for the local disk. Spark ignores it.
    """
    if name == "spark":
        from quality.spark_engine import SparkEngine  # PySpark is an optional dependency

        return SparkEngine()
    return DuckDBEngine(tables)
