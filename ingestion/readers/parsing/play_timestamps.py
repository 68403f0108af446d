"""Plays of sources that log only the END of a play: their honest clock, their order and their ids.

A start computed from a coarse end and the played length gives the length, and so the skip, away. So `occurred_at` is
what an honest clock knew when the play began: the end of the user's play before, if that was under ten minutes
earlier, else the start floored to ten minutes. (dbt later lifts it above the time at which the play before became
known.) Rows are staged in DuckDB, which spills to disk: memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from ingestion.readers.parsing.reader import Rows
from ingestion.readers.parsing.staging import BATCH_ROWS, open_staging_database
from ingestion.validation import conform

CLOCK_GRANULARITY_US = 600 * 1_000_000

END_EVENTS_QUERY = f"""
with ordered as (
    select
        *,
        row_number() over in_user - 1 as sequence_number,
        lag(ended_us) over in_user as previous_end,
        ended_us - played_ms // 1000 * 1000000 as began,
        row_number() over (partition by user_id, ended_us, track_id, played_ms order by row_number) as repeat
    from staged
    window in_user as (partition by user_id order by ended_us, row_number)
)
select
    md5(concat_ws('|', user_id, ended_us, track_id, played_ms, repeat)) as event_id,
    user_id,
    sequence_number,
    'track' as target_type,
    track_id as target_id,
    case when began - previous_end < {CLOCK_GRANULARITY_US} then previous_end
        else began // {CLOCK_GRANULARITY_US} * {CLOCK_GRANULARITY_US} end
        as occurred_at,
    ended_us as ended_at,
    'play' as action,
    played_ms,
    source_file,
    source_line
from ordered
order by date_trunc('month', make_timestamp(ended_us)), user_id, sequence_number
"""  # noqa: S608 - the only value put in is a number of ours


class EndTimestampStager:
    """Collects plays block by block, then gives them back as contract rows, month after month."""

    def __init__(self, scratch: Path) -> None:
        self._connection = open_staging_database(scratch, "plays")
        self._connection.execute(
            "create table staged (user_id varchar, ended_us bigint, track_id varchar, artist_id varchar, played_ms bigint, "
            "source_file varchar, source_line bigint, row_number bigint)"
        )
        self._rows = 0

    def add(self, plays: pl.DataFrame) -> pl.DataFrame:
        """Stages plays in source order; returns those that break the contract, with `reason`.

        `plays` has user_id, ended_at, track_id, played_ms, source_file, source_line, perhaps artist_id and `reason`.
        """
        candidate = plays.rename({"track_id": "target_id"}).with_columns(
            occurred_at=pl.col("ended_at"),
            action=pl.lit("play"),
            target_type=pl.lit("track"),
            sequence_number=pl.lit(0, pl.Int64),
            event_id=pl.lit("-"),
        )
        checked = conform("listening_events", candidate)
        broken = checked["reason"].is_not_null()
        good = checked.filter(~broken).with_row_index("row_number", offset=self._rows)
        artist = pl.col("artist_id") if "artist_id" in good.columns else pl.lit(None, pl.String).alias("artist_id")
        block = good.select(  # noqa: F841 - DuckDB reads it by name
            "user_id",
            pl.col("ended_at").dt.timestamp("us").alias("ended_us"),
            pl.col("target_id").alias("track_id"),
            artist,
            "played_ms",
            "source_file",
            "source_line",
            pl.col("row_number").cast(pl.Int64),
        ).to_arrow()
        self._connection.execute("insert into staged select * from block")
        self._rows += good.height
        return plays.with_columns(checked["reason"]).filter(broken)

    def events(self) -> Iterator[Rows]:
        """Contract rows of `listening_events` ordered by month, user and sequence_number."""
        result = self._connection.execute(END_EVENTS_QUERY).to_arrow_reader(BATCH_ROWS)
        for batch in result:
            yield Rows("listening_events", pl.DataFrame(pa.Table.from_batches([batch])))

    def track_artists(self) -> pl.DataFrame:
        """Each track with the artist of its first play: `track_id, artist_id, source_file, source_line`."""
        return pl.DataFrame(
            self._connection.execute(
                "select track_id, arg_min(artist_id, row_number) as artist_id, arg_min(source_file, row_number) as source_file, "
                "min(source_line) as source_line from staged group by track_id order by track_id"
            ).to_arrow_table()
        )

    def close(self) -> None:
        self._connection.close()
