"""Events and catalog of sources that name tracks, artists and albums in each play, with or without ids.

Objects without an id in the source get one derived from their names.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from ingestion.readers.parsing.play_timestamps import EndTimestampStager, StartTimestampStager
from ingestion.readers.parsing.reader import BATCH_ROWS, Rows, open_staging_database
from ingestion.row_validation import LATEST, conform

EVENTS = "listening_events"
COLUMNS = ("user", "at_us", "track", "title", "artist", "artist_id", "album", "action", "played_ms")
"""Columns of the rows, null where the source has no value; `at_us` is in microseconds since 1970 UTC."""

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


def name_id(*names: str) -> str:
    """Id derived from names; independent of case and Unicode normalization form."""
    return _hash("\x1f".join(unicodedata.normalize("NFKC", name).casefold().strip() for name in names))


def to_play_frame(rows: list[dict[str, Any]], source_file: str) -> pl.DataFrame:
    """Rows as `NamedPlays.add` takes them, from dictionaries with some of COLUMNS, `reason` and `source_line`."""
    numbers = ("at_us", "played_ms", "source_line")
    schema = {column: pl.Int64 if column in numbers else pl.String for column in (*COLUMNS, "reason", "source_line")}
    return pl.DataFrame(rows, schema=schema).with_columns(source_file=pl.lit(source_file))


def _hash(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:22]


class NamedCatalog:
    """Tracks, artists and albums named in plays, each with the values of its first occurrence.

    Rows are staged in DuckDB, which spills to disk, so memory does not grow with the log.
    """

    def __init__(self, scratch: Path) -> None:
        self._connection = open_staging_database(scratch, "names")
        columns = ", ".join(f"{name} {'bigint' if name == 'source_line' else 'varchar'}" for name in CATALOG_COLUMNS)
        self._connection.execute(f"create table named ({columns}, number bigint)")
        self._blocks = 0

    def add(self, plays: pl.DataFrame) -> None:
        """Stage plays in source order; they have CATALOG_COLUMNS, of which `audio_url` is optional."""
        if "audio_url" not in plays.columns:
            plays = plays.with_columns(audio_url=pl.lit(None, pl.String))
        distinct = plays.select(CATALOG_COLUMNS).unique(list(CATALOG_COLUMNS[:7]), keep="first", maintain_order=True)
        block = distinct.with_columns(number=pl.lit(self._blocks << 32) + pl.int_range(pl.len())).to_arrow()  # noqa: F841
        self._connection.execute("insert into named select * from block")
        self._blocks += 1

    def rows(self) -> Iterator[Rows]:
        """Contract rows, ordered by id."""
        for table, (key, values) in CATALOG_TABLES.items():
            is_named = f"{REQUIRED_COLUMNS[table]} is not null and {key} is not null"
            is_first = f"row_number() over (partition by {key} order by number) = 1"
            query = (
                f"select {key}, {values}, source_file, source_line from named where {is_named} "  # noqa: S608
                f"qualify {is_first} order by {key}"
            )
            for batch in self._connection.execute(query).to_arrow_reader(BATCH_ROWS):
                yield Rows(table, pl.DataFrame(pa.Table.from_batches([batch])))

    def close(self) -> None:
        """Close the staging database."""
        self._connection.close()


class NamedPlays:
    """Collects rows block by block and produces events, tracks, artists and albums.

    Args:
        scratch: Folder of the staging databases.
        timestamp_kind: Whether `at_us` is the start ("begin") or the end of a play.
        latest: Events at or after this time are rejected.
    """

    def __init__(self, scratch: Path, timestamp_kind: Literal["begin", "end"], latest: datetime = LATEST) -> None:
        self._latest = latest
        self._stager = EndTimestampStager(scratch, latest) if timestamp_kind == "end" else StartTimestampStager(scratch)
        self._catalog = NamedCatalog(scratch)

    def add(self, named: pl.DataFrame, raw_lines: pl.LazyFrame) -> Iterator[Rows]:
        """Stage rows in source order.

        Args:
            named: COLUMNS, source_file, source_line and `reason`.
            raw_lines: source_line and `raw`; read only if a row is quarantined.

        Yields:
            Rows that violate the contract and, if `at_us` is an end, the actions other than plays. All other rows are
            returned by `events`.
        """
        named = _add_ids(_add_reasons(named))
        if isinstance(self._stager, EndTimestampStager):
            others = named.filter(pl.col("reason").is_null() & (pl.col("action") != "play"))
            plays = named.filter(pl.col("reason").is_not_null() | (pl.col("action") == "play"))
            rejected = self._stager.add(
                plays.select(
                    pl.col("user").alias("user_id"),
                    pl.col("at_us").alias("ended_at"),
                    "track_id",
                    "played_ms",
                    "source_file",
                    "source_line",
                    "reason",
                )
            )
            valid = named.join(rejected.select("source_line"), on="source_line", how="anti")
            if others.height:
                yield Rows(EVENTS, _instant_events(others))
        else:
            reason = conform(EVENTS, _instant_events(named), self._latest)["reason"]
            named = named.with_columns(reason=pl.coalesce(pl.col("reason"), reason))
            rejected, valid = named.filter(pl.col("reason").is_not_null()), named.filter(pl.col("reason").is_null())
            self._stager.add(valid.rename({"user": "user_id", "at_us": "start_us"}))
        self._catalog.add(valid)
        if rejected.height:
            raw = raw_lines.select("source_line", "raw").collect()
            user = pl.col("user_id" if "user_id" in rejected.columns else "user").alias("user_id")
            quarantined = rejected.select("source_file", "source_line", "reason", user)
            yield Rows(EVENTS, quarantined.join(raw, on="source_line"))

    def events(self) -> Iterator[Rows]:
        """Contract rows of the staged events, ordered by month, user and time."""
        return self._stager.events()

    def catalog(self) -> Iterator[Rows]:
        """Contract rows of the tracks, artists and albums that were named."""
        return self._catalog.rows()

    def close(self) -> None:
        """Close the staging databases."""
        self._stager.close()
        self._catalog.close()


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


def _instant_events(named: pl.DataFrame) -> pl.DataFrame:
    """Contract rows whose start equals their end; of plays these are only checked against the contract."""
    is_play = pl.col("action") == "play"
    return named.select(
        event_id=pl.concat_str(["user", "at_us", "track_id", "action"], separator="|", ignore_nulls=True).map_elements(
            _hash, return_dtype=pl.String
        ),
        user_id="user",
        sequence_number=pl.col("source_line").cast(pl.Int64),
        target_type=pl.lit("track"),
        target_id="track_id",
        occurred_at="at_us",
        ended_at="at_us",
        action="action",
        played_ms=pl.when(is_play).then(pl.col("played_ms").fill_null(0)),
        source_file="source_file",
        source_line="source_line",
    )
