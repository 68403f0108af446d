"""Play log folder: `events.csv.gz`, optionally with `tracks.tsv.gz` and `artists.tsv.gz`.

`events.csv.gz` has `user_id, ts, track_id, artist_id, ms_played` (ts: END of the play, seconds since 1970, UTC; other
columns are ignored), `tracks.tsv.gz` has `track_id, artist_id, track_name`, `artists.tsv.gz` has `artist_id,
artist_name`.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ingestion.readers.mapped_csv import read_mapped_files
from ingestion.readers.parsing import delimited
from ingestion.readers.parsing.column_mapping import ColumnMapping
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member

EVENTS = ColumnMapping(
    file="events.csv",
    columns={"user": "user_id", "time": "ts", "track": "track_id", "artist_id": "artist_id", "played": "ms_played"},
    time="s",
    means="end",
)
CATALOG = {
    "tracks.tsv": ("tracks", ["track_id", "artist_id", "track_name"]),
    "artists.tsv": ("artists", ["artist_id", "artist_name"]),
}
"""File → table and columns."""


def _select_files(files: list[Member]) -> list[Member]:
    selected = [member for member in files if _has_columns(member)]
    return selected if any(EVENTS.matches(member.file) for member in selected) else []


def _has_columns(member: Member) -> bool:
    if EVENTS.matches(member.file):
        return {"user_id", "ts", "track_id"} <= set(delimited.read_header(member, ","))
    _, columns = CATALOG.get(member.file.removesuffix(".gz"), ("", []))
    return bool(columns) and set(columns) <= set(delimited.read_header(member, "\t"))


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    catalog = [member for member in files if not EVENTS.matches(member.file)]
    for member in catalog:
        table, columns = CATALOG[member.file.removesuffix(".gz")]
        for rows, broken in delimited.stream_blocks(member, "\t", columns, context.report_progress):
            yield Rows(table, broken, unparsable=broken.height)
            yield Rows(table, _contract_rows(rows, table))
    has_tracks = any(member.file.startswith("tracks") for member in catalog)
    for found in read_mapped_files([member for member in files if member not in catalog], EVENTS, context):
        if found.table != "tracks" or not has_tracks:
            yield found


def _contract_rows(rows: pl.DataFrame, table: str) -> pl.DataFrame:
    if table == "artists":
        return rows.rename({"artist_name": "name"})
    artists = pl.when(pl.col("artist_id") == "").then(pl.lit([], pl.List(pl.String)))
    artist_ids = artists.otherwise(pl.concat_list("artist_id"))
    return rows.with_columns(artist_ids=artist_ids).drop("artist_id").rename({"track_name": "title"})


READER = Reader(select_files=_select_files, read=_read, period="month", split="user_time")
