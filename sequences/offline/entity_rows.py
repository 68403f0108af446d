"""Entity rows of a retrieval: the users (or other entities) and times for which features are requested.

Independent of features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores import offline_utils

from sequences.offline import point_in_time_join
from sequences.timeline import microseconds

NUMBERS = frozenset({"integer", "floating", "mixed-integer", "mixed-integer-float", "decimal", "complex", "boolean"})
"""Contents of a column, as `pandas.api.types.infer_dtype` names them, that are not times."""


class EntityRows:
    """Entity rows with row numbers and times for joining.

    Args:
        entity_df: A data frame, or DuckDB SQL that returns one. Times without an offset are UTC.

    Attributes:
        input_table: The rows in their original order, with the time column in UTC.
        table: The same with the columns `point_in_time_join.ROW` and `point_in_time_join.TIME`.
        times_us: int64 µs UTC, one per row; 0 for a row without a time.
        has_no_time: bool, one per row; such rows have null features.

    Raises:
        EntityTimestampInferenceError: There is no `event_timestamp` and not exactly one other time column.
        ValueError: The time column contains numbers.
    """

    def __init__(self, entity_df: pd.DataFrame | str) -> None:
        frame = _query(entity_df) if isinstance(entity_df, str) else entity_df
        types = dict(zip(frame.columns, frame.dtypes, strict=True))
        self.time_column: str = offline_utils.infer_event_timestamp_from_entity_df(types)
        frame = frame.assign(**{self.time_column: _to_utc(frame[self.time_column])})
        self.input_table = pa.Table.from_pandas(frame, preserve_index=False).combine_chunks()
        time = self.input_table[self.time_column].cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.timestamp("us"))
        self.table = self.input_table.append_column(
            point_in_time_join.ROW, pa.array(np.arange(len(frame)))
        ).append_column(point_in_time_join.TIME, time)
        self.times_us = microseconds(time.combine_chunks())
        self.has_no_time = frame[self.time_column].isna().to_numpy()
        self._times = frame[self.time_column]

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.input_table.num_rows)

    @property
    def keys(self) -> list[str]:
        """All columns except the time."""
        return [column for column in self.input_table.column_names if column != self.time_column]

    @property
    def time_range(self) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
        """Earliest and latest time; None without times."""
        if self.has_no_time.all():
            return None, None
        return self._times.min().to_pydatetime(), self._times.max().to_pydatetime()

    def text(self, column: str) -> pa.Array:
        """A column cast to text, because data frames may contain numeric ids and the marts contain text."""
        values = self.input_table[column].combine_chunks()
        text = values.cast(pa.string())
        if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
            # pandas turns a column of integers into floats if one is missing; 7.0 is the id 7.
            is_whole = pc.and_(
                pc.equal(values, pc.trunc(values)), pc.less(pc.abs(values), point_in_time_join.MAX_WHOLE)
            )
            whole = pc.if_else(is_whole, values, pa.scalar(None, values.type)).cast(pa.int64(), safe=False)
            text = pc.coalesce(whole.cast(pa.string()), text)
        return text


def check_columns(entity_columns: Sequence[str], join_columns: Iterable[str], feature_columns: Iterable[str]) -> None:
    """Check that the entity rows have the join columns, and that no requested feature has the name of an entity column.

    Raises:
        FeastEntityDFMissingColumnsError: Join columns are missing.
        ValueError: There is such a feature.
    """
    required = set(join_columns)
    if not required.issubset(entity_columns):
        raise FeastEntityDFMissingColumnsError(required, required.difference(entity_columns))
    shared = sorted({*entity_columns}.intersection(feature_columns))
    if shared:
        raise ValueError(
            f"the entity rows have the columns {shared}, which are also requested features; rename or drop the columns, "
            "or pass full_feature_names=True"
        )


def _query(sql: str) -> pd.DataFrame:
    """Rows of DuckDB SQL on the default connection, which has the caller's tables; computed in UTC."""
    ((zone,),) = duckdb.execute("select current_setting('TimeZone')").fetchall()
    duckdb.execute("set TimeZone = 'UTC'")
    try:
        return duckdb.sql(sql).df()
    finally:
        duckdb.execute(f"set TimeZone = '{zone}'")


def _to_utc(times: pd.Series) -> pd.Series:
    if pd.api.types.infer_dtype(times, skipna=True) in NUMBERS and times.notna().any():
        raise ValueError(
            f"the entity rows have numbers of the type {times.dtype} as times in the column {times.name!r}; convert them "
            f"first, for seconds since 1970 with pd.to_datetime(entity_df[{times.name!r}], unit='s', utc=True)"
        )
    return pd.to_datetime(times, utc=True)
