"""Plays of sources that log the BEGINNING of a play: when each ended, their order and their ids.

Where a source says how long a play lasted, it ended then. Scrobbles do not: a scrobble says that a track was listened to,
half of it or four minutes, and no more. So it is taken to end when the user's next one begins, four minutes later at most
(also before a pause, and at the end), and never within half a minute, which would call it a skip. Rows are staged in
DuckDB, which spills to disk: memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from ingestion.readers.parsing.reader import Rows
from ingestion.readers.parsing.staging import BATCH_ROWS, open_staging_database

MAX_SCROBBLE_MS, MIN_SCROBBLE_MS = 240_000, 30_000

START_EVENTS_QUERY = f"""
with ordered as (
    select
        *,
        lead(began_us) over (partition by user_id, action order by began_us, row_number) as next_us,
        row_number() over (partition by user_id order by began_us, row_number) - 1 as sequence_number,
        row_number() over (partition by user_id, began_us, track_id, action order by row_number) as repeat
    from staged
), lasting as (
    select
        *,
        case when action = 'play' then coalesce(
            played_ms, greatest({MIN_SCROBBLE_MS}, least({MAX_SCROBBLE_MS}, coalesce((next_us - began_us) // 1000, {MAX_SCROBBLE_MS})))
        ) end as lasted_ms
    from ordered
)
select
    md5(concat_ws('|', user_id, began_us, track_id, action, repeat)) as event_id,
    user_id,
    sequence_number,
    'track' as target_type,
    track_id as target_id,
    began_us as occurred_at,
    began_us + coalesce(lasted_ms, 0) * 1000 as ended_at,
    action,
    lasted_ms as played_ms,
    source_file,
    source_line
from lasting
order by date_trunc('month', make_timestamp(began_us)), user_id, sequence_number
"""  # noqa: S608 - the only values put in are numbers of ours


class StartTimestampStager:
    """Collects rows block by block, then gives them back as contract rows, month after month."""

    def __init__(self, scratch: Path) -> None:
        self._connection = open_staging_database(scratch, "beginnings")
        self._connection.execute(
            "create table staged (user_id varchar, began_us bigint, track_id varchar, action varchar, played_ms bigint, "
            "source_file varchar, source_line bigint, row_number bigint)"
        )
        self._rows = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Stages rows in source order: user_id, began_us, track_id, action, played_ms (null: unknown), source_file, source_line."""
        numbered = rows.with_row_index("row_number", offset=self._rows)
        kept = ("user_id", "began_us", "track_id", "action", "played_ms", "source_file", "source_line")
        block = numbered.select(*kept, pl.col("row_number").cast(pl.Int64)).to_arrow()  # noqa: F841 - DuckDB reads it by name
        self._connection.execute("insert into staged select * from block")
        self._rows += rows.height

    def events(self) -> Iterator[Rows]:
        """Contract rows of `listening_events` ordered by month, user and sequence_number."""
        for batch in self._connection.execute(START_EVENTS_QUERY).to_arrow_reader(BATCH_ROWS):
            yield Rows("listening_events", pl.DataFrame(pa.Table.from_batches([batch])))

    def close(self) -> None:
        self._connection.close()
