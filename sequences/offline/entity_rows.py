"""Entity rows of a retrieval: the users (or other entities) and times for which features are requested.

Independent of features.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores import offline_utils

from sequences.offline import point_in_time_join
from sequences.timeline import microseconds


class EntityRows:
    """Entity rows with row numbers and times for joining.

    Args:
        entity_df: A data frame, or DuckDB SQL that returns one. Times without an offset are UTC.

    Attributes:
        input_table: The rows in their original order, with the time column in UTC.
        table: The same with the columns `point_in_time_join.ROW` and `point_in_time_join.TIME`.
        times_us: int64 µs UTC, one per row.

    Raises:
        EntityTimestampInferenceError: There is no `event_timestamp` and not exactly one other time column.
    """

    def __init__(self, entity_df: pd.DataFrame | str) -> None:
        frame = duckdb.sql(entity_df).df() if isinstance(entity_df, str) else entity_df
        types = dict(zip(frame.columns, frame.dtypes, strict=True))
        self.time_column: str = offline_utils.infer_event_timestamp_from_entity_df(types)
        frame = frame.assign(**{self.time_column: pd.to_datetime(frame[self.time_column], utc=True)})
        self.input_table = pa.Table.from_pandas(frame, preserve_index=False).combine_chunks()
        time = self.input_table[self.time_column].cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.timestamp("us"))
        self.table = self.input_table.append_column(
            point_in_time_join.ROW, pa.array(np.arange(len(frame)))
        ).append_column(point_in_time_join.TIME, time)
        self.times_us = microseconds(time.combine_chunks())
        self._times = frame[self.time_column]
        self._texts: dict[str, pa.Array] = {}

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.input_table.num_rows)

    @property
    def keys(self) -> list[str]:
        """All columns except the time."""
        return [column for column in self.input_table.column_names if column != self.time_column]

    @property
    def time_range(self) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
        """Earliest and latest time; None without rows."""
        if not len(self):
            return None, None
        return self._times.min().to_pydatetime(), self._times.max().to_pydatetime()

    def require(self, columns: list[str]) -> None:
        """Check that the join columns exist.

        Raises:
            FeastEntityDFMissingColumnsError: Columns are missing.
        """
        missing = set(columns) - set(self.input_table.column_names)
        if missing:
            raise FeastEntityDFMissingColumnsError(set(columns), missing)

    def text(self, column: str) -> pa.Array:
        """A column cast to text, because data frames may contain numeric ids and the marts contain text."""
        if column not in self._texts:
            self._texts[column] = self.input_table[column].cast(pa.string()).combine_chunks()
        return self._texts[column]
