"""CSV or TSV files of plays: in any layout that a `segue-mapping.yaml` in the same folder describes, and some known ones.

Last.fm export: the scrobbles of one account as CSV, from lastfm.ghan.nl/export (columns `uts, utc_time, artist, artist_mbid, album,
album_mbid, track, track_mbid`), or from benjaminbenben.com/lastfm-to-csv (artist, album, track and a date such as 31 Dec 2019 22:10,
without header). The ids are not read, because a track has them in some of its scrobbles only.

Last.fm Dataset - 1K users (Celma 2010): scrobbles of 992 users until May 2009, for non-commercial use. Its file has no header:
user, start of the play (ISO 8601), MusicBrainz id and name of the artist, MusicBrainz id and name of the track; the ids may be
empty. Get `lastfm-dataset-1K.tar.gz` from ocelma.net/MusicRecommendationDataset, unpack it and land the folder. The user
profiles (age, country) are not read. The file is not sorted by time; scrobbles have no duration (see `NamedPlays`).

Play log: `events.csv.gz`, optionally with `tracks.tsv.gz` and `artists.tsv.gz`. Events have `user_id, ts, track_id, artist_id,
ms_played` (ts: END of the play, seconds since 1970, UTC; other columns are ignored), tracks `track_id, artist_id, track_name`,
artists `artist_id, artist_name`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing

import polars as pl

from ingestion.readers.parsing import column_mapping, delimited
from ingestion.readers.parsing.column_mapping import ColumnMapping
from ingestion.readers.parsing.named_plays import EVENTS, MAX_EPOCH_S, NamedPlays
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member, SourceError

LASTFM_COLUMNS = ["user", "time", "artist_id", "artist", "track", "title"]
LASTFM = ColumnMapping(
    file="userid-timestamp-artid-artname-traid-traname.tsv",
    columns={name: name for name in LASTFM_COLUMNS},
    header=LASTFM_COLUMNS,
    delimiter="\t",
)
EXPORT = ColumnMapping(
    file="*.csv", columns={"time": "uts", "artist": "artist", "album": "album", "title": "track"}, time="s"
)
EXPORT_COLUMNS = ["artist", "album", "track", "date"]
EXPORT_WITHOUT_HEADER = EXPORT.model_copy(
    update={"columns": {**EXPORT.columns, "time": "date"}, "header": EXPORT_COLUMNS, "time": "%d %b %Y %H:%M"}
)
EXPORT_DATE = re.compile(r"\d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d")
PLAY_LOG = ColumnMapping(
    file="events.csv",
    columns={"user": "user_id", "time": "ts", "track": "track_id", "artist_id": "artist_id", "played": "ms_played"},
    time="s",
    means="end",
)
CATALOG = {
    "tracks.tsv": ("tracks", ["track_id", "artist_id", "track_name"]),
    "artists.tsv": ("artists", ["artist_id", "artist_name"]),
}
"""File of a play log → table and columns."""


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if member.file == column_mapping.MAPPING_FILE] and list(files)


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    mapping_files = [member for member in files if member.file == column_mapping.MAPPING_FILE]
    if len(mapping_files) > 1:
        raise SourceError(
            f"{', '.join(member.name for member in mapping_files)}: only one mapping per source; land each folder separately"
        )
    mapping_file = mapping_files[0]
    mapping = column_mapping.parse_mapping(mapping_file.read(context.report_progress), mapping_file.name)
    described = [member for member in files if mapping.matches(member.name) or mapping.matches(member.file)]
    if not described:
        raise SourceError(
            f"{mapping_file.name} describes {mapping.file!r}, but its folder has no such file; correct `file`, or add the file"
        )
    yield from read_mapped_files([(member, mapping) for member in described], context)


def read_mapped_files(files: list[tuple[Member, ColumnMapping]], context: ReadContext) -> Iterator[Rows]:
    """Yield events, tracks, artists and albums of delimited files with column mappings, whose times `mean` the same."""
    with closing(NamedPlays(context.scratch, files[0][1].means, context.latest)) as plays:
        for member, mapping in files:
            columns = list(dict.fromkeys(mapping.columns.values()))
            raw = pl.concat_str(columns, separator=mapping.delimiter)
            for rows, broken in delimited.stream_blocks(
                member, mapping.delimiter, columns, context.report_progress, mapping.header
            ):
                yield Rows(EVENTS, broken, unparsable=broken.height)
                named = _rename_columns(rows, mapping, context.user_id or context.source_name)
                yield from plays.add(named, rows.lazy().select("source_line", raw=raw))
        yield from plays.events()
        yield from plays.catalog()


def _rename_columns(rows: pl.DataFrame, mapping: ColumnMapping, default_user: str) -> pl.DataFrame:
    """Rename mapped columns, replace "" by null, and add `at_us`, `played_ms`, `action` and `reason`.

    Args:
        rows: Columns of the file.
        mapping: Their meaning.
        default_user: User of a file without a column of users.
    """
    stripped = {key: pl.col(column).str.strip_chars() for key, column in mapping.columns.items()}
    named = rows.select(
        "source_line",
        "source_file",
        *(pl.when(column != "").then(column).alias(key) for key, column in stripped.items()),
    )
    missing = {key: pl.lit(None, pl.String) for key in column_mapping.COLUMNS if key not in stripped}
    named = named.with_columns(**missing | ({"user": pl.lit(default_user)} if "user" in missing else {}))
    action = pl.col("action").replace(dict(mapping.actions)) if "action" in stripped else pl.lit("play")
    played = pl.col("played").cast(pl.Float64, strict=False) * (1000 if mapping.played == "s" else 1)
    named = named.with_columns(
        at_us=_time_expression(mapping), action=action.fill_null("play"), played_ms=played.round()
    )
    expected = f"in the format {mapping.time}" if "%" in mapping.time else f"a number of {mapping.time} since 1970"
    problems = {
        "time is missing": pl.col("time").is_null(),
        f"time is not {expected}": pl.col("at_us").is_null(),
        "played is not a number": pl.col("played").is_not_null() & pl.col("played_ms").is_null(),
    }
    reason = pl.coalesce(pl.when(condition).then(pl.lit(reason)) for reason, condition in problems.items())
    return named.with_columns(reason=reason, played_ms=pl.col("played_ms").cast(pl.Int64, strict=False))


def _time_expression(mapping: ColumnMapping) -> pl.Expr:
    """Expression of the timestamp: ISO text, or microseconds since 1970."""
    if mapping.time == "iso":
        return pl.col("time")
    if "%" in mapping.time:
        return pl.col("time").str.to_datetime(mapping.time, time_unit="us", strict=False).dt.epoch("us")
    number = pl.col("time").cast(pl.Float64, strict=False) / (1000 if mapping.time == "ms" else 1)
    return pl.when(number.is_between(-MAX_EPOCH_S, MAX_EPOCH_S)).then(
        (number * 1e6).round().cast(pl.Int64, strict=False)
    )


def _known_layout(mapping_of: Callable[[Member], ColumnMapping | None]) -> Reader:
    """Reader of the files with a known mapping, unless the user has written one."""

    def select_files(files: list[Member]) -> list[Member]:
        is_mapped = any(member.file == column_mapping.MAPPING_FILE for member in files)
        return [] if is_mapped else [member for member in files if mapping_of(member)]

    def read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
        return read_mapped_files([(member, mapping) for member in files if (mapping := mapping_of(member))], context)

    return Reader(select_files=select_files, read=read, period="month", split="global_time")


def _export_mapping(member: Member) -> ColumnMapping | None:
    """The columns of an export of Last.fm; None if it is no such file."""
    names = delimited.read_header(member, ",") if EXPORT.matches(member.file) else []
    if {*EXPORT.columns.values()} <= {*names}:
        return EXPORT
    is_date = len(names) == len(EXPORT_COLUMNS) and EXPORT_DATE.fullmatch(names[-1])
    return EXPORT_WITHOUT_HEADER if is_date else None


def _select_play_log(files: list[Member]) -> list[Member]:
    selected = [member for member in files if _has_columns(member)]
    return selected if any(PLAY_LOG.matches(member.file) for member in selected) else []


def _has_columns(member: Member) -> bool:
    if PLAY_LOG.matches(member.file):
        return {"user_id", "ts", "track_id"} <= set(delimited.read_header(member, ","))
    _, columns = CATALOG.get(member.file.removesuffix(".gz"), ("", []))
    return bool(columns) and set(columns) <= set(delimited.read_header(member, "\t"))


def _read_play_log(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    catalog = [member for member in files if not PLAY_LOG.matches(member.file)]
    for member in catalog:
        table, columns = CATALOG[member.file.removesuffix(".gz")]
        for rows, broken in delimited.stream_blocks(member, "\t", columns, context.report_progress):
            yield Rows(table, broken, unparsable=broken.height)
            yield Rows(table, _contract_rows(rows, table))
    has_tracks = any(member.file.startswith("tracks") for member in catalog)
    for found in read_mapped_files([(member, PLAY_LOG) for member in files if member not in catalog], context):
        if found.table != "tracks" or not has_tracks:
            yield found


def _contract_rows(rows: pl.DataFrame, table: str) -> pl.DataFrame:
    if table == "artists":
        return rows.rename({"artist_name": "name"})
    artists = pl.when(pl.col("artist_id") == "").then(pl.lit([], pl.List(pl.String)))
    artist_ids = artists.otherwise(pl.concat_list("artist_id"))
    return rows.with_columns(artist_ids=artist_ids).drop("artist_id").rename({"track_name": "title"})


READERS = {
    "mapped_csv": Reader(select_files=_select_files, read=_read, period="month", split="global_time"),
    "lastfm_export": _known_layout(_export_mapping),
    "lastfm_1k": _known_layout(lambda member: LASTFM if LASTFM.matches(member.file) else None),
    "play_log": Reader(select_files=_select_play_log, read=_read_play_log, period="month", split="user_time"),
}
