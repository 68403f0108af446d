"""The data contract: every table of the landing zone, column by column, with what each column means.

All times are UTC microseconds, all ids are strings. Knows nothing about files or formats: `readers/` turn a source
into these tables and `validation.py` says which rows keep the contract.
"""

from __future__ import annotations

import pyarrow as pa

ACTIONS = ("impression", "click", "play", "like", "collect", "share", "download", "dislike", "block")
TARGET_TYPES = ("track", "playlist", "album", "artist", "mlog")
PLAYLIST_SOURCES = ("ugc", "mgc")
SPLITS = ("user_time", "global_time")

TIME = pa.timestamp("us", tz="UTC")
STRINGS = pa.list_(pa.string())
VECTOR = pa.list_(pa.float32())


def _column(name: str, kind: pa.DataType, description: str, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required, metadata={"description": description})


LANDED_AT = _column("landed_at", TIME, "When the row was landed; the newest row of a key counts", required=True)

LISTENING_EVENTS = pa.schema(
    [
        _column("event_id", pa.string(), "Idempotency key: an event landed twice is one event", required=True),
        _column("user_id", pa.string(), "Who acted, a pseudonym", required=True),
        _column("sequence_number", pa.int64(), "The source's own order within the user; breaks ties of ended_at", True),
        _column("target_type", pa.string(), f"What was acted on: {', '.join(TARGET_TYPES)}", required=True),
        _column("target_id", pa.string(), "Id of the target within its type", required=True),
        _column("occurred_at", TIME, "When it began, by a clock that gives no outcome away", required=True),
        _column("ended_at", TIME, "When the outcome became known; equals occurred_at except for plays", required=True),
        _column("action", pa.string(), f"What happened: {', '.join(ACTIONS)}", required=True),
        _column("played_ms", pa.int64(), "Milliseconds played; every play has it, no other action does"),
        _column("scene", pa.string(), "Where in the product: daily, private_fm, playlists, mlog, similar, library"),
        _column("context_id", pa.string(), "What it came from, typed: playlist:7, album:3, mlog:9"),
        _column("request_id", pa.string(), "The answer of ours that exposed the target"),
        _column("position", pa.int32(), "Place in that answer, from 0"),
        _column("propensity", pa.float64(), "Probability with which that answer showed the target, in (0, 1]"),
        _column("device", pa.string(), "Kind of device, coarse"),
    ]
)

EXPOSURES = pa.schema(
    [
        _column("event_id", pa.string(), "The impression that it is, in listening_events", required=True),
        _column("request_id", pa.string(), "The answer of ours that showed the target", required=True),
        _column("user_id", pa.string(), "To whom, a pseudonym", required=True),
        _column("scene", pa.string(), "Where in the product", required=True),
        _column("shown_at", TIME, "When", required=True),
        _column("release", pa.string(), "Release that gave the answer", required=True),
        _column("arm", pa.string(), "What an experiment assigned the user to; without one, the release", required=True),
        _column("features_hash", pa.string(), "Hash of everything that its models were given of the user"),
        _column("target_type", pa.string(), f"What was shown: {', '.join(TARGET_TYPES)}", required=True),
        _column("target_id", pa.string(), "Id of the target within its type", required=True),
        _column("position", pa.int32(), "Place in the answer, from 0", required=True),
        _column("channels", STRINGS, "Recall channels that found it, the one that ranked it best first"),
        _column("propensity", pa.float64(), "Probability of being shown there, in (0, 1]; 1 unless by chance", True),
        _column("is_exploration", pa.bool_(), "Chance gave it its place", required=True),
    ]
)

TRACKS = pa.schema(
    [
        _column("track_id", pa.string(), "One release of a recording", required=True),
        _column("recording_id", pa.string(), "The same recording on several releases shares it"),
        _column("title", pa.string(), "Title as printed"),
        _column("artist_ids", STRINGS, "Performers, the main one first"),
        _column("album_id", pa.string(), "Album it is on"),
        _column("duration_ms", pa.int64(), "Length in milliseconds, when the source knows it"),
        _column("released_on", pa.date32(), "Day of release"),
        _column("available_from", TIME, "First moment it may be served"),
        _column("available_until", TIME, "Moment from which it may no longer be served"),
        _column("territories", STRINGS, "Countries it may be served in; empty or null: all"),
        _column("is_explicit", pa.bool_(), "Carries an advisory label"),
        _column("language", pa.string(), "Facet: language of the song"),
        _column("styles", STRINGS, "Facet: styles (pop, rock, folk …)"),
        _column("scenes", STRINGS, "Facet: scenes of life (morning, study, driving …)"),
        _column("emotions", STRINGS, "Facet: emotions (nostalgic, happy …)"),
        _column("themes", STRINGS, "Facet: themes (soundtrack, covers, guitar …)"),
        _column("lyrics", pa.string(), "Words of the song"),
        _column("audio_vector", VECTOR, "Embedding of the sound"),
        _column("image_vector", VECTOR, "Embedding of the cover"),
        _column(
            "audio_url", pa.string(), "Where it can be heard: an https address, or a path of the recommender's own host"
        ),
        LANDED_AT,
    ]
)

ARTISTS = pa.schema(
    [
        _column("artist_id", pa.string(), "One performer", required=True),
        _column("name", pa.string(), "Name as printed", required=True),
        LANDED_AT,
    ]
)

ALBUMS = pa.schema(
    [
        _column("album_id", pa.string(), "One album", required=True),
        _column("title", pa.string(), "Title as printed"),
        _column("artist_ids", STRINGS, "Performers, the main one first"),
        _column("released_on", pa.date32(), "Day of release"),
        LANDED_AT,
    ]
)

PLAYLISTS = pa.schema(
    [
        _column("playlist_id", pa.string(), "One playlist", required=True),
        _column("title", pa.string(), "Title as printed"),
        _column("source", pa.string(), "ugc: made by a user; mgc: made by an editor or a machine", required=True),
        _column("track_ids", STRINGS, "Its tracks in order"),
        LANDED_AT,
    ]
)

MLOGS = pa.schema(
    [
        _column("mlog_id", pa.string(), "One short video", required=True),
        _column("title", pa.string(), "Title as printed"),
        _column("track_ids", STRINGS, "Tracks it is tied to"),
        LANDED_AT,
    ]
)

TRACK_COMMENTS = pa.schema(
    [
        _column("comment_id", pa.string(), "One comment", required=True),
        _column("track_id", pa.string(), "Track it was written under", required=True),
        _column("text", pa.string(), "What was written", required=True),
        _column("occurred_at", TIME, "When it was written"),
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

LANDINGS = pa.schema(
    [
        _column("landing_id", pa.string(), "Hash of the source's content", required=True),
        _column("source", pa.string(), "Name of the landed file or folder", required=True),
        _column("format", pa.string(), "Reader that read it", required=True),
        _column("split", pa.string(), "How its events are split in time: user_time, global_time; null for live events"),
        _column("read", pa.int64(), "Rows read", required=True),
        _column("landed", pa.int64(), "Rows written", required=True),
        _column("duplicate", pa.int64(), "Rows that had been landed before", required=True),
        _column("quarantined", pa.int64(), "Rows that broke the contract", required=True),
        LANDED_AT,
    ]
)

QUARANTINE = pa.schema(
    [
        _column("reject_id", pa.string(), "Hash of file name, line and row: a row is quarantined once", required=True),
        _column("source", pa.string(), "File the row came from", required=True),
        _column(
            "source_line", pa.int64(), "Line in that file, from 1 (in a JSON array or Parquet: the row)", required=True
        ),
        _column("reason", pa.string(), "What it breaks, with the value", required=True),
        _column("raw", pa.string(), "The row as it was read", required=True),
        _column("user_id", pa.string(), "Whose row it is, where the reader knows"),
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
    "landings": ("landing_id", "format"),
}

EVENT_TIME_COLUMNS = {"listening_events": "ended_at", "exposures": "shown_at"}
"""Tables of what happened: a row lands once by its id, in the partition of this time. The others are catalogue."""

SOURCE_TABLES = tuple(name for name in SCHEMAS if name != "landings")


def source_schema(table: str) -> pa.Schema:
    """The columns a source gives for a table: the contract without `landed_at`, which landing adds."""
    schema = SCHEMAS[table]
    return pa.schema([field for field in schema if field.name != "landed_at"])
