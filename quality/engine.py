"""What reads tables, counts over them and judges their rows: DuckDB with pandas on one machine, or Spark.

Queries are written once; an engine supplies the few words in which the two differ. Knows nothing about suites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

MAX_ROWS = 200_000


class Engine(Protocol):
    """One way to judge tables; closed when everything was judged."""

    def parquet_relation(self, paths: Sequence[str]) -> str:
        """Parquet files or globs as a relation, columns matched by name."""

    def micros(self, column: str) -> str:
        """A time as µs since 1970 UTC, whether it has a zone or not."""

    def first_row(self, query: str) -> tuple[Any, ...] | None:
        """The first row of an answer."""

    def has_rows(self, partition: Path) -> bool:
        """Whether any Parquet file of a folder has a row."""

    def newest_rows(self, source: str, columns: set[str], newest: str | None, facts: Mapping[str, float | None]) -> Any:
        """At most `MAX_ROWS` rows with the largest `newest`, as Great Expectations takes them.

        They have those of the `columns` that the relation has, and every fact as a column `table_NAME`.
        """

    def data_source(self, context: Any) -> Any:
        """Where a Great Expectations context takes such rows from."""

    def close(self) -> None:
        """Gives back what it holds."""


def create_engine(name: str, tables: Path | None = None) -> Engine:
    """The engine that the setting `SEGUE_ENGINE` names; it reads what is below `tables` (None: on this machine)."""
    if name == "spark":
        from quality.spark_engine import SparkEngine

        return SparkEngine()
    from quality.duckdb_engine import DuckDBEngine

    return DuckDBEngine(tables)
