"""The rows that a retrieval on Spark answers: who, and at which moment.

Knows nothing about features.
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores import offline_utils
from feast.type_map import spark_schema_to_np_dtypes
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sequences.offline.entity_rows import EntityRows
from sequences.offline.point_in_time_join import ROW, TIME


class SparkEntityRows:
    """Entity rows as given, and with their number and time for joining.

    Args:
        entity_df: a data frame of pandas or Spark, or Spark SQL that gives one. Times without an offset are UTC.

    Attributes:
        table: the rows, their time column as an instant, with `ROW` and `TIME` (naive UTC).
        time_column: which column has the moment.

    Raises:
        EntityTimestampInferenceError: there is no `event_timestamp`, nor exactly one other column of times.
    """

    def __init__(self, session: SparkSession, entity_df: pd.DataFrame | str | DataFrame) -> None:
        if isinstance(entity_df, pd.DataFrame):
            rows = EntityRows(entity_df)
            self.time_column = rows.time_column
            self.table = session.createDataFrame(rows.input_table.append_column(ROW, rows.table[ROW]))
        else:
            given = session.sql(entity_df) if isinstance(entity_df, str) else entity_df
            types = dict(zip(given.columns, spark_schema_to_np_dtypes(given.dtypes), strict=True))
            self.time_column = offline_utils.infer_event_timestamp_from_entity_df(types)
            # A number must stay with its row, however often Spark computes it.
            self.table = given.withColumn(ROW, F.monotonically_increasing_id()).localCheckpoint()
        instant = F.col(_quote(self.time_column)).cast("timestamp_ltz")
        self.table = self.table.withColumn(self.time_column, instant).withColumn(TIME, instant.cast("timestamp_ntz"))

    @property
    def input_columns(self) -> list[str]:
        """The columns that were given."""
        return [column for column in self.table.columns if column not in (ROW, TIME)]

    @property
    def keys(self) -> list[str]:
        """Every given column but the time."""
        return [column for column in self.input_columns if column != self.time_column]

    def time_range(self) -> tuple[datetime | None, datetime | None]:
        """The earliest and the latest time; reads the rows."""
        first, last = self.table.agg(F.min(TIME), F.max(TIME)).collect()[0]
        return first, last

    def require(self, columns: list[str]) -> None:
        """Checks that a view can be joined on the columns.

        Raises:
            FeastEntityDFMissingColumnsError: some are not there.
        """
        missing = set(columns) - set(self.input_columns)
        if missing:
            raise FeastEntityDFMissingColumnsError(set(columns), missing)


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
