"""Entity rows of a retrieval on Spark: the users (or other entities) and times for which features are requested.

Independent of features.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores import offline_utils
from feast.type_map import spark_schema_to_np_dtypes
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sequences.offline.entity_rows import EntityRows
from sequences.offline.point_in_time_join import ROW, TIME
from sequences.offline.spark import view_joins


class SparkEntityRows:
    """Entity rows with row numbers and times for joining.

    Args:
        entity_df: A pandas or Spark data frame, or Spark SQL that returns one. Times without an offset are UTC.

    Attributes:
        table: The rows with the time column as `timestamp_ltz`, and the columns `ROW` and `TIME` (naive UTC).
        time_column: Name of the time column.

    Raises:
        EntityTimestampInferenceError: There is no `event_timestamp` and not exactly one other time column.
        ValueError: The time column contains numbers.
    """

    def __init__(self, session: SparkSession, entity_df: pd.DataFrame | str | DataFrame) -> None:
        if isinstance(entity_df, pd.DataFrame):
            rows = EntityRows(entity_df)
            self.time_column = rows.time_column
            self.table = session.createDataFrame(rows.input_table.append_column(ROW, rows.table[ROW]))
        else:
            frame = session.sql(entity_df) if isinstance(entity_df, str) else entity_df
            types = dict(zip(frame.columns, spark_schema_to_np_dtypes(frame.dtypes), strict=True))
            self.time_column = offline_utils.infer_event_timestamp_from_entity_df(types)
            view_joins.require_times(frame, self.time_column, "the entity rows")
            # The checkpoint keeps row numbers stable when Spark recomputes the frame.
            self.table = frame.withColumn(ROW, F.monotonically_increasing_id()).localCheckpoint()
        quoted = "`" + self.time_column.replace("`", "``") + "`"
        instant = F.col(quoted).cast("timestamp_ltz")
        self.table = self.table.withColumn(self.time_column, instant).withColumn(TIME, instant.cast("timestamp_ntz"))

    @property
    def input_columns(self) -> list[str]:
        """The columns of the input."""
        return [column for column in self.table.columns if column not in (ROW, TIME)]

    @property
    def keys(self) -> list[str]:
        """All input columns except the time."""
        return [column for column in self.input_columns if column != self.time_column]

    def time_range(self) -> tuple[datetime | None, datetime | None]:
        """Earliest and latest time; runs a Spark job."""
        first, last = self.table.agg(F.min(TIME), F.max(TIME)).collect()[0]
        return first and first.replace(tzinfo=UTC), last and last.replace(tzinfo=UTC)

    def require(self, columns: list[str]) -> None:
        """Check that the join columns exist.

        Raises:
            FeastEntityDFMissingColumnsError: Columns are missing.
        """
        missing = set(columns) - set(self.input_columns)
        if missing:
            raise FeastEntityDFMissingColumnsError(set(columns), missing)
