"""The rows that a retrieval answers: who, and at which moment.

Knows nothing about features.
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
    """Entity rows as given, and with their number and time for joining.

    Args:
        entity_df: a data frame, or DuckDB SQL that gives one. Times without an offset are UTC.

    Attributes:
        given: the rows in their order, with the time column as UTC.
        table: the same with `as_of_join.ROW` and `as_of_join.TIME`.
        times_us: int64 µs UTC, one a row.

    Raises:
        EntityTimestampInferenceError: there is no `event_timestamp`, nor exactly one other column of times.
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
        """Every column but the time."""
        return [column for column in self.input_table.column_names if column != self.time_column]

    @property
    def time_range(self) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
        """The earliest and the latest time."""
        if not len(self):
            return None, None
        return self._times.min().to_pydatetime(), self._times.max().to_pydatetime()

    def require(self, columns: list[str]) -> None:
        """Checks that a view can be joined on the columns.

        Raises:
            FeastEntityDFMissingColumnsError: some are not there.
        """
        missing = set(columns) - set(self.input_table.column_names)
        if missing:
            raise FeastEntityDFMissingColumnsError(set(columns), missing)

    def text(self, column: str) -> pa.Array:
        """A column as text: a frame may hold as numbers what the marts hold as text."""
        if column not in self._texts:
            self._texts[column] = self.input_table[column].cast(pa.string()).combine_chunks()
        return self._texts[column]
