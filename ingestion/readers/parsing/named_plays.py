"""Plays whose source names tracks, artists and albums, with or without ids: their events and the catalogue they tell of.

What the source gives no id gets one of its names. Knows nothing about formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import polars as pl

from ingestion.readers.parsing.named_catalog import NamedCatalog
from ingestion.readers.parsing.names import name_id
from ingestion.readers.parsing.play_timestamps import EndTimestampStager
from ingestion.readers.parsing.reader import Rows
from ingestion.readers.parsing.start_timestamps import StartTimestampStager
from ingestion.validation import conform

EVENTS = "listening_events"
COLUMNS = ("user", "at_us", "track", "title", "artist", "artist_id", "album", "action", "played_ms")
"""What a row is, null where the source says nothing: user, µs since 1970 (UTC), ids and names, action, ms played."""


class NamedPlays:
    """Collects rows block by block, then gives events, tracks, artists and albums."""

    def __init__(self, scratch: Path, means: Literal["begin", "end"]) -> None:
        self._stager = EndTimestampStager(scratch) if means == "end" else StartTimestampStager(scratch)
        self._catalog = NamedCatalog(scratch)

    def add(self, named: pl.DataFrame, text: pl.LazyFrame) -> Iterator[Rows]:
        """Stages rows in source order; gives those at once that take no time or break the contract.

        `named` has COLUMNS, source_file, source_line and `reason`; `text` has source_line and `raw`, read only if a row is
        to be quarantined.
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
            good = named.join(rejected.select("source_line"), on="source_line", how="anti")
            if others.height:
                yield Rows(EVENTS, _events(others))
        else:
            checked = conform(EVENTS, _events(named))["reason"]
            named = named.with_columns(reason=pl.coalesce(pl.col("reason"), checked))
            rejected, good = named.filter(pl.col("reason").is_not_null()), named.filter(pl.col("reason").is_null())
            self._stager.add(good.rename({"user": "user_id", "at_us": "began_us"}))
        self._catalog.add(good)
        if rejected.height:
            said = text.select("source_line", "raw").collect()
            who = pl.col("user_id" if "user_id" in rejected.columns else "user").alias("user_id")
            apart = rejected.select("source_file", "source_line", "reason", who)
            yield Rows(EVENTS, apart.join(said, on="source_line"))

    def events(self) -> Iterator[Rows]:
        """Contract rows of the events that take time, by month, user and time."""
        return self._stager.events()

    def catalog(self) -> Iterator[Rows]:
        """Contract rows of the tracks, artists and albums that were named."""
        return self._catalog.rows()

    def close(self) -> None:
        self._stager.close()
        self._catalog.close()


def _add_reasons(named: pl.DataFrame) -> pl.DataFrame:
    """With the reason of rows that name no user or no track."""
    problems = {
        "user is missing": pl.col("user").is_null(),
        "no track: neither a track id nor a title and an artist": pl.col("track").is_null()
        & (pl.col("title").is_null() | pl.col("artist").is_null()),
    }
    found = (pl.when(is_so).then(pl.lit(why)) for why, is_so in problems.items())
    return named.with_columns(reason=pl.coalesce("reason", *found))


def _add_ids(named: pl.DataFrame) -> pl.DataFrame:
    """With `track_id`, `by_name` and the ids of artist and album, made of names where the source has none."""

    def ids(*columns: str) -> pl.DataFrame:
        names = named.select(columns).unique().drop_nulls()
        return names.with_columns(pl.Series("id", [name_id(*row) for row in names.iter_rows()], pl.String))

    named = named.join(
        ids("artist", "title").rename({"id": "by_name"}), on=["artist", "title"], how="left", maintain_order="left"
    )
    named = named.join(ids("artist").rename({"id": "of_artist"}), on="artist", how="left", maintain_order="left")
    named = named.join(
        ids("artist", "album").rename({"id": "album_id"}), on=["artist", "album"], how="left", maintain_order="left"
    )
    return named.with_columns(track_id=pl.coalesce("track", "by_name"), artist_id=pl.coalesce("artist_id", "of_artist"))


def _events(named: pl.DataFrame) -> pl.DataFrame:
    """Rows as events that take no time; for plays, to be checked by the contract."""
    is_play = pl.col("action") == "play"
    return named.select(
        event_id=pl.concat_str(["user", "at_us", "track_id", "action"], separator="|", ignore_nulls=True).map_elements(
            name_id, return_dtype=pl.String
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
