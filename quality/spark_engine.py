"""Validation engine on Spark: the same queries and the same validated rows as on one machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from quality.engine import MAX_ROWS, DuckDBEngine


class SparkEngine:
    """Uses this process's Spark session, configured by `config.tool_environment`."""

    def __init__(self) -> None:
        self._owns_session = SparkSession.getActiveSession() is None
        self._session = SparkSession.builder.getOrCreate()
        self._views = 0

    def parquet_relation(self, paths: Sequence[str]) -> str:
        """See `DuckDBEngine`. Registers a temporary view."""
        return self._register(self._session.read.option("mergeSchema", True).parquet(*paths))

    def _register(self, rows: DataFrame) -> str:
        self._views += 1
        name = f"quality_{self._views}"
        rows.createOrReplaceTempView(name)
        return name

    def select_rows(self, source: str, columns: set[str], condition: str) -> str:  # noqa: ARG002 - Spark reads what is used
        """See `DuckDBEngine`."""
        return self._register(self._session.sql(f"select * from {source} where {condition}"))  # noqa: S608

    def epoch_micros(self, column: str) -> str:
        """See `DuckDBEngine`."""
        return f"unix_micros(cast({column} as timestamp_ltz))"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """See `DuckDBEngine`."""
        return [tuple(row) for row in self._session.sql(query).collect()]

    def newest_rows(
        self, source: str, columns: set[str], newest: str | None, metrics: Mapping[str, float | None]
    ) -> DataFrame:
        """See `DuckDBEngine`."""
        table = self._session.table(source)
        rows = table.orderBy(F.col(newest).desc()) if newest in table.columns else table
        selected = [name for name in table.columns if name in columns] or table.columns[:1]
        values = {f"table_{name}": F.lit(value).cast("double") for name, value in metrics.items()}
        return rows.select(*selected).limit(MAX_ROWS).withColumns(values)

    def data_source(self, context: Any) -> Any:
        """See `DuckDBEngine`."""
        return context.data_sources.add_spark("segue")

    def close(self) -> None:
        """See `DuckDBEngine`. Stops the session only if this engine created it."""
        if self._owns_session:
            self._session.stop()


Engine: TypeAlias = DuckDBEngine | SparkEngine
"""Reads tables for validation. Call `close` after the last table."""
