"""Play log folder: `events.csv.gz`, optionally with `tracks.tsv.gz` and `artists.tsv.gz`.

`events.csv.gz` has `user_id, ts, track_id, artist_id, ms_played` (ts: END of the play, seconds since 1970, UTC; other
columns are ignored), `tracks.tsv.gz` has `track_id, artist_id, track_name`, `artists.tsv.gz` has `artist_id,
artist_name`.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ingestion.readers.parsing import delimited
from ingestion.readers.parsing.play_timestamps import EndTimestampStager
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member

EVENTS = ["user_id", "ts", "track_id", "artist_id", "ms_played"]
TRACKS = ["track_id", "artist_id", "track_name"]
ARTISTS = ["artist_id", "artist_name"]


def _select_files(files: list[Member]) -> list[Member]:
    required_columns = {"events.csv": EVENTS[:3], "tracks.tsv": TRACKS, "artists.tsv": ARTISTS}
    selected = []
    for member in files:
        columns = required_columns.get(member.file.removesuffix(".gz"))
        delimiter = "," if ".csv" in member.file else "\t"
        if columns and set(columns) <= set(delimited.read_header(member, delimiter)):
            selected.append(member)
    return selected if any(member.file.startswith("events.csv") for member in selected) else []


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    has_tracks = any(member.file.startswith("tracks.tsv") for member in files)
    stager = EndTimestampStager(context.scratch, context.latest)
    try:
        for member in files:
            if member.file.startswith("events.csv"):
                yield from _read_plays(member, stager, context)
            elif member.file.startswith("tracks.tsv"):
                yield from _read_catalog(member, "tracks", TRACKS, context)
            else:
                yield from _read_catalog(member, "artists", ARTISTS, context)
        yield from stager.events()
        if not has_tracks:
            yield Rows("tracks", _contract_tracks(stager.track_artists()))
    finally:
        stager.close()


def _read_plays(member: Member, stager: EndTimestampStager, context: ReadContext) -> Iterator[Rows]:
    for rows, broken in delimited.stream_blocks(member, ",", EVENTS, context.report_progress):
        if broken.height:
            yield Rows(
                "listening_events", broken.with_columns(source_file=pl.lit(member.name)), unparsable=broken.height
            )
        if rows.height == 0:
            continue
        seconds = pl.col("ts").cast(pl.Int64, strict=False)
        unreadable = pl.format("ts {} is not a whole number of seconds since 1970", pl.col("ts").str.head(80))
        plays = rows.with_columns(
            source_file=pl.lit(member.name),
            # Seconds out of range would overflow; they become null and violate the contract.
            ended_at=pl.when(seconds.is_between(-10_000_000_000, 10_000_000_000)).then(seconds * 1_000_000),
            reason=pl.when(seconds.is_null() & (pl.col("ts") != "")).then(unreadable),
            played_ms=pl.col("ms_played"),
        )
        rejected = stager.add(plays.drop("ts", "ms_played"))
        if rejected.height:
            text = rows.select("source_line", raw=pl.concat_str(EVENTS, separator=","))
            rejected = rejected.select("source_file", "source_line", "reason", "user_id").join(text, on="source_line")
            yield Rows("listening_events", rejected)


def _read_catalog(member: Member, table: str, columns: list[str], context: ReadContext) -> Iterator[Rows]:
    for rows, broken in delimited.stream_blocks(member, "\t", columns, context.report_progress):
        if broken.height:
            yield Rows(table, broken.with_columns(source_file=pl.lit(member.name)), unparsable=broken.height)
        if rows.height:
            named = rows.with_columns(source_file=pl.lit(member.name))
            yield Rows(table, _contract_tracks(named) if table == "tracks" else named.rename({"artist_name": "name"}))


def _contract_tracks(rows: pl.DataFrame) -> pl.DataFrame:
    """Contract tracks from `track_id`, `artist_id` and the optional `track_name`."""
    artists = pl.when(pl.col("artist_id").fill_null("") == "").then(pl.lit([], pl.List(pl.String)))
    tracks = rows.with_columns(artist_ids=artists.otherwise(pl.concat_list("artist_id"))).drop("artist_id")
    return tracks.rename({"track_name": "title"}) if "track_name" in tracks.columns else tracks


READER = Reader(select_files=_select_files, read=_read, period="month", split="user_time")
