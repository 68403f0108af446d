"""Interface of the engines that read tables for validation: DuckDB with pandas on one machine, or Spark.

Queries are written once; an engine supplies the few expressions in which the two SQL dialects differ.
`quality.validate.create_engine` creates the one that the settings choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

MAX_ROWS = 200_000
"""Maximum number of rows of a table that Great Expectations validates; table metrics are computed over all rows."""


class Engine(Protocol):
    """Reads tables for validation. Call `close` after the last table."""

    def parquet_relation(self, paths: Sequence[str]) -> str:
        """SQL relation over Parquet files or globs, columns matched by name."""

    def create_view(self, query: str) -> str:
        """SQL relation of a query over other relations."""

    def select_rows(self, source: str, columns: set[str], condition: str) -> str:
        """SQL relation of the rows of a relation that fulfil a condition, with at least those of `columns` that it has."""

    def epoch_micros(self, column: str) -> str:
        """SQL expression of a timestamp, with or without time zone, as microseconds since 1970 UTC."""

    def first_row(self, query: str) -> tuple[Any, ...] | None:
        """First row of a query result; None if the result is empty."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query result."""

    def has_rows(self, partition: Path) -> bool:
        """Whether any Parquet file of a folder has a row."""

    def newest_rows(
        self, source: str, columns: set[str], newest: str | None, metrics: Mapping[str, float | None]
    ) -> Any:
        """Data frame with at most `MAX_ROWS` rows, those with the largest values of column `newest`.

        It has those of `columns` that the relation has, and each table metric as a constant column `table_<name>`.
        """

    def data_source(self, context: Any) -> Any:
        """Data source of a Great Expectations context that accepts the data frames of `newest_rows`."""

    def close(self) -> None:
        """Release connections and sessions."""
