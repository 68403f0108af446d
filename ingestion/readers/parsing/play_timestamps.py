"""Derives the missing start or end timestamp of plays, their order within the user and their event ids.

Rows are staged in DuckDB, which spills to disk, so memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from config.tool_environment import load_dbt_variables
from ingestion.readers.parsing.reader import BATCH_ROWS, Rows, open_staging_database
from ingestion.row_validation import LATEST, conform

MAX_SCROBBLE_MS, MIN_SCROBBLE_MS = 240_000, 30_000
"""Limits of the assumed duration of a play whose source does not log one."""

END_EVENTS_QUERY = """
with ordered as (
    select
        *,
        row_number() over in_user - 1 as sequence_number,
        lag(ended_us) over in_user as previous_end_us,
        ended_us - played_ms // 1000 * 1000000 as start_us,
        row_number() over (partition by user_id, ended_us, track_id, played_ms order by row_number) as copy_number
    from staged
    window in_user as (partition by user_id order by ended_us, row_number)
)
select
    md5(concat_ws('|', user_id, ended_us, track_id, played_ms, copy_number)) as event_id,
    user_id,
    sequence_number,
    'track' as target_type,
    track_id as target_id,
    case
        when start_us - previous_end_us < {granularity_us} then previous_end_us
        else start_us // {granularity_us} * {granularity_us}
    end as occurred_at,
    ended_us as ended_at,
    'play' as action,
    played_ms,
    source_file,
    source_line
from ordered
order by date_trunc('month', make_timestamp(ended_us)), user_id, sequence_number
"""

START_EVENTS_QUERY = f"""
with ordered as (
    select
        *,
        lead(start_us) over (partition by user_id, action order by start_us, row_number) as next_start_us,
        row_number() over (partition by user_id order by start_us, row_number) - 1 as sequence_number,
        row_number() over (partition by user_id, start_us, track_id, action order by row_number) as copy_number
    from staged
), with_durations as (
    select
        *,
        case when action = 'play' then coalesce(
            played_ms,
            greatest(
                {MIN_SCROBBLE_MS},
                least({MAX_SCROBBLE_MS}, coalesce((next_start_us - start_us) // 1000, {MAX_SCROBBLE_MS}))
            )
        ) end as duration_ms
    from ordered
)
select
    md5(concat_ws('|', user_id, start_us, track_id, action, copy_number)) as event_id,
    user_id,
    sequence_number,
    'track' as target_type,
    track_id as target_id,
    start_us as occurred_at,
    start_us + coalesce(duration_ms, 0) * 1000 as ended_at,
    action,
    duration_ms as played_ms,
    source_file,
    source_line
from with_durations
order by date_trunc('month', make_timestamp(start_us)), user_id, sequence_number
"""  # noqa: S608 - the only values inserted are the constants above


def clock_granularity_us() -> int:
    """Granularity of derived start timestamps in microseconds: dbt's `clock_granularity_minutes`."""
    return int(str(load_dbt_variables()["clock_granularity_minutes"])) * 60 * 1_000_000


class EndTimestampStager:
    """Contract events from plays of which the source logs only the end.

    A start computed as end minus played duration reveals the duration, and so whether the track was skipped (label
    leakage). `occurred_at` is therefore the end of the user's previous play if that was less than
    `clock_granularity_minutes` earlier, otherwise the start rounded down to a multiple of that granularity. (dbt later
    moves it after the time at which the previous play became known.)

    Args:
        scratch: Folder of the staging database.
        latest: Plays that end at or after this time are rejected.
    """

    def __init__(self, scratch: Path, latest: datetime = LATEST) -> None:
        self._latest = latest
        self._connection = open_staging_database(scratch, "plays")
        self._connection.execute(
            "create table staged (user_id varchar, ended_us bigint, track_id varchar, artist_id varchar, played_ms bigint, "
            "source_file varchar, source_line bigint, row_number bigint)"
        )
        self._rows = 0

    def add(self, plays: pl.DataFrame) -> pl.DataFrame:
        """Stage plays in source order.

        Args:
            plays: user_id, ended_at, track_id, played_ms, source_file, source_line, optionally artist_id and `reason`.

        Returns:
            The plays that violate the contract, with `reason`; these are not staged.
        """
        candidates = plays.rename({"track_id": "target_id"}).with_columns(
            occurred_at=pl.col("ended_at"),
            action=pl.lit("play"),
            target_type=pl.lit("track"),
            sequence_number=pl.lit(0, pl.Int64),
            event_id=pl.lit("-"),
        )
        checked = conform("listening_events", candidates, self._latest)
        is_invalid = checked["reason"].is_not_null()
        valid = checked.filter(~is_invalid).with_row_index("row_number", offset=self._rows)
        artist = pl.col("artist_id") if "artist_id" in valid.columns else pl.lit(None, pl.String).alias("artist_id")
        block = valid.select(  # noqa: F841 - DuckDB reads it by name
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
        self._rows += valid.height
        return plays.with_columns(checked["reason"]).filter(is_invalid)

    def events(self) -> Iterator[Rows]:
        """Contract rows of `listening_events` ordered by month, user and sequence_number."""
        query = END_EVENTS_QUERY.format(granularity_us=clock_granularity_us())
        for batch in self._connection.execute(query).to_arrow_reader(BATCH_ROWS):
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
        """Close the staging database."""
        self._connection.close()


class StartTimestampStager:
    """Contract events from plays of which the source logs the start.

    A play ends after its logged duration if there is one. Scrobbles have none: a scrobble only says that the track was
    played for half its length or four minutes. Its play is assumed to end when the user's next play starts, but after
    30 seconds at the earliest (a shorter play would count as a skip) and after four minutes at the latest (also before
    a break and for the user's last play).
    """

    def __init__(self, scratch: Path) -> None:
        self._connection = open_staging_database(scratch, "starts")
        self._connection.execute(
            "create table staged (user_id varchar, start_us bigint, track_id varchar, action varchar, played_ms bigint, "
            "source_file varchar, source_line bigint, row_number bigint)"
        )
        self._rows = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Stage valid rows in source order.

        Args:
            rows: user_id, start_us, track_id, action, played_ms (null: unknown), source_file, source_line.
        """
        numbered = rows.with_row_index("row_number", offset=self._rows)
        columns = ("user_id", "start_us", "track_id", "action", "played_ms", "source_file", "source_line")
        block = numbered.select(*columns, pl.col("row_number").cast(pl.Int64)).to_arrow()  # noqa: F841 - DuckDB reads it by name
        self._connection.execute("insert into staged select * from block")
        self._rows += rows.height

    def events(self) -> Iterator[Rows]:
        """Contract rows of `listening_events` ordered by month, user and sequence_number."""
        for batch in self._connection.execute(START_EVENTS_QUERY).to_arrow_reader(BATCH_ROWS):
            yield Rows("listening_events", pl.DataFrame(pa.Table.from_batches([batch])))

    def close(self) -> None:
        """Close the staging database."""
        self._connection.close()
