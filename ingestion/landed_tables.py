"""Data contract: schemas of all tables of the landing zone with a description of each column.

All times are UTC microseconds, all ids are strings. The `readers/` convert sources to these tables, `row_validation.py`
checks rows against the contract. The columns of events are declared in `event_store.event_rules`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pyarrow as pa

from event_store.behaviors import TARGET_TYPES
from event_store.event_rules import COLUMN, DAY_MS, EVENT_COLUMNS, MAX_POSITION, Column

PLAYLIST_SOURCES = ("ugc", "mgc")

TIME = pa.timestamp("us", tz="UTC")
STRINGS = pa.list_(pa.string())
VECTOR = pa.list_(pa.float32())

MEDIA_PATH = "path below the landed folder, or below SEGUE_MEDIA_ROOT if that is set"


def _column(name: str, data_type: pa.DataType, description: str, required: bool = False) -> pa.Field:
    return pa.field(name, data_type, nullable=not required, metadata={"description": description})


LANDED_AT = _column("landed_at", TIME, "Time of landing", required=True)
ORIGIN = (
    _column("format", pa.string(), "Reader; null if an earlier version landed it"),
    _column("source_at", TIME, "Time of the newest file of the source"),
    _column("landed_at", TIME, "Time of landing", required=True),
)
"""Columns that landing adds to rows that several sources may state; the order of landing does not decide between them."""

ARROW_TYPES = {"text": pa.string(), "time": TIME, "int64": pa.int64(), "int32": pa.int32(), "double": pa.float64()}
LISTENING_EVENTS = pa.schema(
    [_column(column.name, ARROW_TYPES[column.kind], column.landed, column.is_required) for column in EVENT_COLUMNS]
)

EXPOSURES = pa.schema(
    [
        _column("event_id", pa.string(), "Id of the impression in listening_events", required=True),
        _column("request_id", pa.string(), "Recommendation request that showed the target", required=True),
        _column("user_id", pa.string(), "Pseudonym of the user", required=True),
        _column("scene", pa.string(), "Product scene", required=True),
        _column("shown_at", TIME, "Time of the impression", required=True),
        _column("release", pa.string(), "Release that served the request", required=True),
        _column("arm", pa.string(), "Experiment arm of the user; the release if there is no experiment", required=True),
        _column("features_hash", pa.string(), "Hash of all user features that the models read"),
        _column("target_type", pa.string(), f"Type of the target: {', '.join(TARGET_TYPES)}", required=True),
        _column("target_id", pa.string(), "Id of the target within its type", required=True),
        _column("position", pa.int32(), f"Position in the response, from 0 to {MAX_POSITION:,}", required=True),
        _column("channels", STRINGS, "Recall channels that retrieved the target, best rank first"),
        _column(
            "propensity", pa.float64(), "Probability of this position, in (0, 1]; 1 unless it was randomized", True
        ),
        _column("is_exploration", pa.bool_(), "Position was filled at random", required=True),
    ]
)

TRACKS = pa.schema(
    [
        _column("track_id", pa.string(), "One version of a recording", required=True),
        _column(
            "recording_id",
            pa.string(),
            "Id of the recording; a MusicBrainz id or ISRC matches other sources",
        ),
        _column("title", pa.string(), "Title as printed"),
        _column("artist_ids", STRINGS, "Performers, the main one first"),
        _column("album_id", pa.string(), "Album it is on"),
        _column("duration_ms", pa.int64(), "Length in milliseconds, at most a day, if the source has it"),
        _column("released_on", pa.date32(), "Day of release"),
        _column("available_from", TIME, "Time from which it may be served"),
        _column("available_until", TIME, "Time until which it may be served"),
        _column("territories", STRINGS, "Countries it may be served in; empty or null: all"),
        _column("is_explicit", pa.bool_(), "Carries an advisory label"),
        _column("language", pa.string(), "Facet: language of the song"),
        _column("styles", STRINGS, "Facet: styles (pop, rock, folk …)"),
        _column("scenes", STRINGS, "Facet: situations (morning, study, driving …)"),
        _column("emotions", STRINGS, "Facet: emotions (nostalgic, happy …)"),
        _column("themes", STRINGS, "Facet: themes (soundtrack, covers, guitar …)"),
        _column("lyrics", pa.string(), "Lyrics"),
        _column("audio_vector", VECTOR, "Audio embedding"),
        _column("image_vector", VECTOR, "Cover embedding"),
        _column("audio_url", pa.string(), "URL of the audio: https, or a path on the recommender's host"),
        _column("audio_path", pa.string(), f"Audio file to encode: {MEDIA_PATH}"),
        _column("cover_path", pa.string(), f"Cover image to encode: {MEDIA_PATH}"),
        *ORIGIN,
    ]
)

ARTISTS = pa.schema(
    [
        _column("artist_id", pa.string(), "One performer", required=True),
        _column("name", pa.string(), "Name as printed", required=True),
        *ORIGIN,
    ]
)

ALBUMS = pa.schema(
    [
        _column("album_id", pa.string(), "One album", required=True),
        _column("title", pa.string(), "Title as printed"),
        _column("artist_ids", STRINGS, "Performers, the main one first"),
        _column("released_on", pa.date32(), "Day of release"),
        *ORIGIN,
    ]
)

PLAYLISTS = pa.schema(
    [
        _column("playlist_id", pa.string(), "One playlist", required=True),
        _column("title", pa.string(), "Title as printed"),
        _column("source", pa.string(), "ugc: made by a user; mgc: made by an editor or a machine", required=True),
        _column("track_ids", STRINGS, "Tracks in order"),
        LANDED_AT,
    ]
)

MLOGS = pa.schema(
    [
        _column("mlog_id", pa.string(), "One short video", required=True),
        _column("title", pa.string(), "Title as printed"),
        _column("track_ids", STRINGS, "Tracks in the video"),
        LANDED_AT,
    ]
)

TRACK_COMMENTS = pa.schema(
    [
        _column("comment_id", pa.string(), "One comment", required=True),
        _column("track_id", pa.string(), "Track it was written under", required=True),
        _column("text", pa.string(), "Text of the comment", required=True),
        _column("occurred_at", TIME, "Time of the comment"),
        LANDED_AT,
    ]
)

KNOWLEDGE_TRIPLES = pa.schema(
    [
        _column("head", pa.string(), "Typed node: artist:12, track:9, artist_name:Ghost", required=True),
        _column("relation", pa.string(), "Name of the edge: has_genre, sang_ost_of …", required=True),
        _column("tail", pa.string(), "Typed node: genre:rock, work:3", required=True),
        LANDED_AT,
    ]
)

TRACK_MATCHES = pa.schema(
    [
        _column("track_id", pa.string(), "Track whose match is wrong or missing", True),
        _column("same_as_id", pa.string(), "The right track; its own id: none; null: as matched"),
        LANDED_AT,
    ]
)

LANDINGS = pa.schema(
    [
        _column("landing_id", pa.string(), "Hash of names, sizes and times of the source's files", required=True),
        _column("source", pa.string(), "Name of the landed file or folder", required=True),
        _column("format", pa.string(), "Reader that read it", required=True),
        _column("split", pa.string(), "Train/test split of the events: user_time, global_time; null for live events"),
        _column("read", pa.int64(), "Number of rows read", required=True),
        _column("landed", pa.int64(), "Number of rows written", required=True),
        _column("duplicate", pa.int64(), "Number of rows landed before", required=True),
        _column("quarantined", pa.int64(), "Number of rows that violated the contract", required=True),
        _column("event_store", pa.string(), "Id of the recommender's store that was landed; null for files"),
        _column("event_seq", pa.int64(), "Number of the last landed record of that store, in commit order"),
        LANDED_AT,
    ]
)

QUARANTINE = pa.schema(
    [
        _column(
            "reject_id",
            pa.string(),
            "Hash of file name, line and row",
            required=True,
        ),
        _column("source", pa.string(), "File of the row", required=True),
        _column(
            "source_line", pa.int64(), "Line in that file, from 1 (in a JSON array or Parquet: the row)", required=True
        ),
        _column("reason", pa.string(), "Violated rule, with the value", required=True),
        _column(
            "raw",
            pa.string(),
            "The row as read; empty without a valid user id, by which it could be erased",
            required=True,
        ),
        _column("user_id", pa.string(), "User of the row, if known"),
        LANDED_AT,
    ]
)

SCHEMAS: dict[str, pa.Schema] = {
    "listening_events": LISTENING_EVENTS,
    "exposures": EXPOSURES,
    "tracks": TRACKS,
    "artists": ARTISTS,
    "albums": ALBUMS,
    "playlists": PLAYLISTS,
    "mlogs": MLOGS,
    "track_comments": TRACK_COMMENTS,
    "knowledge_triples": KNOWLEDGE_TRIPLES,
    "track_matches": TRACK_MATCHES,
    "landings": LANDINGS,
}

KEYS: dict[str, tuple[str, ...]] = {
    "listening_events": ("event_id",),
    "exposures": ("event_id",),
    "tracks": ("track_id",),
    "artists": ("artist_id",),
    "albums": ("album_id",),
    "playlists": ("playlist_id",),
    "mlogs": ("mlog_id",),
    "track_comments": ("comment_id",),
    "knowledge_triples": ("head", "relation", "tail"),
    "track_matches": ("track_id",),
    "landings": ("landing_id", "format"),
}

EVENT_TIME_COLUMNS = {"listening_events": "ended_at", "exposures": "shown_at"}
"""Event tables and the time that determines a row's partition; rows are landed once per id. Other tables are catalog."""

ADDED_COLUMNS = tuple(field.name for field in ORIGIN)
SOURCE_TABLES = tuple(name for name in SCHEMAS if name != "landings")


LIMITED = {
    **{("listening_events", name): column for name, column in COLUMN.items()},
    **{("exposures", name): COLUMN[name] for name in ("position", "propensity")},
    ("exposures", "target_type"): Column("target_type", "text", "", allowed=TARGET_TYPES),
    ("playlists", "source"): Column("source", "text", "", allowed=PLAYLIST_SOURCES),
    ("tracks", "duration_ms"): Column("duration_ms", "int64", "", maximum=DAY_MS, is_positive=True),
}
"""(table, column) with a range or an enumeration of its values."""


def limits_of(table: str, field: pa.Field) -> Column:
    """A column of a table with the limits of its values."""
    kind: Literal["text", "other"] = "text" if field.type == pa.string() else "other"
    limited = LIMITED.get((table, field.name)) or Column(field.name, kind, "")
    return replace(limited, is_required=not field.nullable)


def source_schema(table: str) -> pa.Schema:
    """Schema of the rows of a source: the contract without the columns that landing adds."""
    return pa.schema([field for field in SCHEMAS[table] if field.name not in ADDED_COLUMNS])
