"""Events and catalog of sources that name tracks, artists and albums in each play, with or without ids.

Objects without an id in the source get one derived from their names.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from config.settings import load_dbt_variables
from ingestion.readers.parsing.json_rows import Block, raw_lines
from ingestion.readers.parsing.reader import Rows, open_staging_database, read_staged, stage_rows
from ingestion.row_validation import LATEST, conform

MAX_EPOCH_S = 10_000_000_000
"""Limit of timestamps in seconds since 1970, so that conversion cannot overflow; later ones violate the contract."""
MAX_SCROBBLE_MS, MIN_SCROBBLE_MS = 240_000, 30_000
"""Limits of the assumed duration of a play whose source does not log one."""

END_EVENTS_QUERY = """
with ordered as (
    select
        *,
        row_number() over (partition by user_id order by time_us, row_number) - 1 as sequence_number,
        lag(time_us) over (partition by user_id, action order by time_us, row_number) as previous_end_us,
        time_us - coalesce(played_ms, 0) // 1000 * 1000000 as start_us,
        if(action = 'play', played_ms::varchar, action) as what,
        if(
            action = 'play',
            row_number() over (partition by user_id, time_us, track_id, what order by row_number),
            null
        ) as copy_number
    from staged
)
select
    md5(concat_ws('|', user_id, time_us, track_id, what, copy_number)) as event_id,
    user_id,
    sequence_number,
    'track' as target_type,
    track_id as target_id,
    case
        when action != 'play' then time_us
        when start_us - previous_end_us < {granularity_us} then previous_end_us
        else start_us // {granularity_us} * {granularity_us}
    end as occurred_at,
    time_us as ended_at,
    action,
    played_ms,
    source_file,
    source_line
from ordered
order by date_trunc('month', make_timestamp(time_us)), user_id, sequence_number
"""
"""Of plays of which the source logs only the end.

A start computed as end minus played duration reveals the duration, and so whether the track was skipped (label leakage).
`occurred_at` is therefore the end of the user's previous play if that was less than `clock_granularity_minutes` earlier,
otherwise the start rounded down to a multiple of that granularity. (dbt later moves it after the time at which the previous
play became known.)
"""

START_EVENTS_QUERY = f"""
with ordered as (
    select
        *,
        lead(time_us) over (partition by user_id, action order by time_us, row_number) as next_time_us,
        row_number() over (partition by user_id order by time_us, row_number) - 1 as sequence_number,
        row_number() over (partition by user_id, time_us, track_id, action order by row_number) as copy_number
    from staged
), with_durations as (
    select
        *,
        case when action = 'play' then coalesce(
            played_ms,
            greatest(
                {MIN_SCROBBLE_MS},
                least({MAX_SCROBBLE_MS}, coalesce((next_time_us - time_us) // 1000, {MAX_SCROBBLE_MS}))
            )
        ) end as duration_ms
    from ordered
)
select
    md5(concat_ws('|', user_id, time_us, track_id, action, copy_number)) as event_id,
    user_id,
    sequence_number,
    'track' as target_type,
    track_id as target_id,
    time_us as occurred_at,
    time_us + coalesce(duration_ms, 0) * 1000 as ended_at,
    action,
    duration_ms as played_ms,
    source_file,
    source_line
from with_durations
order by date_trunc('month', make_timestamp(time_us)), user_id, sequence_number
"""  # noqa: S608 - the only values inserted are the constants above
"""Of plays of which the source logs the start.

A play ends after its logged duration if there is one. Scrobbles have none: a scrobble only says that the track was played for
half its length or four minutes. Its play is assumed to end when the user's next play starts, but after 30 seconds at the
earliest (a shorter play would count as a skip) and after four minutes at the latest (also before a break and for the user's
last play).
"""

EVENTS = "listening_events"
COLUMNS = ("user", "at_us", "track", "title", "artist", "artist_id", "album", "action", "played_ms", "audio_url")
"""Columns of the rows, null where the source has no value; `at_us` is in microseconds since 1970 UTC, or text in ISO 8601."""
NUMBERS = ("time_us", "at_us", "played_ms", "source_line")
STAGED_COLUMNS = ("user_id", "time_us", "track_id", "action", "played_ms", "source_file", "source_line")
CATALOG_COLUMNS = (
    "track_id",
    "recording_id",
    "title",
    "artist_id",
    "artist",
    "album_id",
    "album",
    "audio_url",
    "source_file",
    "source_line",
)
ARTIST_IDS_SQL = "case when artist_id is null then []::varchar[] else [artist_id] end"
CATALOG_TABLES = {
    "tracks": ("track_id", f"recording_id, title, {ARTIST_IDS_SQL} as artist_ids, album_id, audio_url"),
    "artists": ("artist_id", "artist as name"),
    "albums": ("album_id", f"album as title, {ARTIST_IDS_SQL} as artist_ids"),
}
"""Contract table to its key and the other selected columns."""
REQUIRED_COLUMNS = {"tracks": "track_id", "artists": "artist", "albums": "album"}


def clock_granularity_us() -> int:
    """Granularity of derived start timestamps in microseconds: dbt's `clock_granularity_minutes`."""
    return int(str(load_dbt_variables()["clock_granularity_minutes"])) * 60 * 1_000_000


def name_id(*names: str) -> str:
    """Id derived from names; independent of case and Unicode normalization form."""
    text = "\x1f".join(unicodedata.normalize("NFKC", name).casefold().strip() for name in names)
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:22]


class NamedPlays:
    """Collects rows block by block and produces events, tracks, artists and albums.

    Rows are staged in DuckDB, which spills to disk, so memory does not grow with the log. Close it at the end.

    Args:
        scratch: Folder of the staging database.
        timestamp_kind: Whether `at_us` is the start ("begin") or the end of a play; see END_EVENTS_QUERY and START_EVENTS_QUERY.
        latest: Events at or after this time are rejected.
    """

    def __init__(self, scratch: Path, timestamp_kind: Literal["begin", "end"], latest: datetime = LATEST) -> None:
        self._kind, self._latest, self._rows = timestamp_kind, latest, 0
        self._database = open_staging_database(scratch, "plays")
        for table, names in (("staged", STAGED_COLUMNS), ("named", CATALOG_COLUMNS)):
            columns = ", ".join(f"{name} {'bigint' if name in NUMBERS else 'varchar'}" for name in names)
            self._database.execute(f"create table {table} ({columns}, row_number bigint)")

    def add(self, named: pl.DataFrame, raw: pl.LazyFrame) -> Iterator[Rows]:
        """Stage rows in source order; yield those that violate the contract. The others are returned by `events`.

        Args:
            named: Some of COLUMNS, at least user, time and track; source_file, source_line and `reason`.
            raw: source_line and `raw`; read only if a row is quarantined.
        """
        missing = [pl.lit(None, pl.String).alias(name) for name in COLUMNS if name not in named.columns]
        named = _add_ids(_add_reasons(named.with_columns(missing)))
        checked = conform(EVENTS, self._instant_events(named), self._latest)
        is_invalid, length = checked["reason"].is_not_null(), named["played_ms"]
        numbers = pl.int_range(self._rows, self._rows + named.height).alias("row_number")
        # A play without a length was checked with one of 0.
        played_ms = pl.when(length.is_not_null()).then("played_ms")
        time_us = pl.col("ended_at").dt.timestamp("us")
        plays = checked.with_columns(track_id="target_id", time_us=time_us, played_ms=played_ms)
        stage_rows(self._database, "staged", plays.select(*STAGED_COLUMNS, numbers).filter(~is_invalid))
        catalog = named.select(*CATALOG_COLUMNS, numbers).filter(~is_invalid)
        stage_rows(
            self._database, "named", catalog.unique(list(CATALOG_COLUMNS[:7]), keep="first", maintain_order=True)
        )
        self._rows += named.height
        if is_invalid.any():
            rejected = checked.filter(is_invalid).select("source_file", "source_line", "reason", "user_id")
            texts = raw.select("source_line", "raw").collect()
            yield Rows(EVENTS, rejected.join(texts, on="source_line"))

    def add_lines(self, block: Block, source_file: str, parse: Callable[[str], dict[str, Any]]) -> Iterator[Rows]:
        """Stage the plays of lines, see `add`.

        Args:
            block: The lines.
            source_file: Name of their file.
            parse: Returns of a line some of COLUMNS, and `reason` if it is no play.
        """
        schema = {name: pl.Int64 if name in NUMBERS else pl.String for name in (*COLUMNS, "reason", "source_line")}
        rows = [parse(text) | {"source_line": number} for number, text in block]
        named = pl.DataFrame(rows, schema=schema).with_columns(source_file=pl.lit(source_file))
        yield from self.add(named, raw_lines(block).lazy())

    def events(self) -> Iterator[Rows]:
        """Contract rows of the staged events, ordered by month, user and time."""
        query = START_EVENTS_QUERY
        if self._kind == "end":
            query = END_EVENTS_QUERY.format(granularity_us=clock_granularity_us())
        return read_staged(self._database, EVENTS, query)

    def catalog(self) -> Iterator[Rows]:
        """Contract rows of the tracks, artists and albums that were named, each with the values of its first occurrence."""
        for table, (key, values) in CATALOG_TABLES.items():
            is_named = f"{REQUIRED_COLUMNS[table]} is not null and {key} is not null"
            is_first = f"row_number() over (partition by {key} order by row_number) = 1"
            yield from read_staged(
                self._database,
                table,
                f"select {key}, {values}, source_file, source_line from named where {is_named} "  # noqa: S608
                f"qualify {is_first} order by {key}",
            )

    def close(self) -> None:
        """Close the staging database."""
        self._database.close()

    def _instant_events(self, named: pl.DataFrame) -> pl.DataFrame:
        """Contract rows whose start equals their end, to be checked."""
        is_play, length = pl.col("action") == "play", pl.col("played_ms")
        return named.select(
            "reason",
            "source_file",
            "source_line",
            event_id=pl.lit("-"),
            user_id="user",
            sequence_number=pl.lit(0, pl.Int64),
            target_type=pl.lit("track"),
            target_id="track_id",
            occurred_at="at_us",
            ended_at="at_us",
            action="action",
            played_ms=pl.when(is_play).then(length.fill_null(0) if self._kind == "begin" else length),
        )


def _add_reasons(named: pl.DataFrame) -> pl.DataFrame:
    """Add the rejection reason of rows without a user or a track."""
    problems = {
        "user is missing": pl.col("user").is_null(),
        "no track: neither a track id nor a title and an artist": pl.col("track").is_null()
        & (pl.col("title").is_null() | pl.col("artist").is_null()),
    }
    reasons = (pl.when(condition).then(pl.lit(reason)) for reason, condition in problems.items())
    return named.with_columns(reason=pl.coalesce("reason", *reasons))


def _add_ids(named: pl.DataFrame) -> pl.DataFrame:
    """Add `track_id`, `recording_id`, `artist_id` and `album_id`, derived from names where the source has no id."""

    def ids(*columns: str) -> pl.DataFrame:
        names = named.select(columns).unique().drop_nulls()
        return names.with_columns(pl.Series("id", [name_id(*row) for row in names.iter_rows()], pl.String))

    named = named.join(
        ids("artist", "title").rename({"id": "recording_id"}), on=["artist", "title"], how="left", maintain_order="left"
    )
    named = named.join(ids("artist").rename({"id": "artist_name_id"}), on="artist", how="left", maintain_order="left")
    named = named.join(
        ids("artist", "album").rename({"id": "album_id"}), on=["artist", "album"], how="left", maintain_order="left"
    )
    return named.with_columns(
        track_id=pl.coalesce("track", "recording_id"), artist_id=pl.coalesce("artist_id", "artist_name_id")
    )
