"""Personal streaming-history exports: the zip that a person downloads, its folder, or a folder of several people's.

Basic form, `StreamingHistory*.json`: `endTime` ("YYYY-MM-DD HH:MM", UTC), `artistName`, `trackName`, `msPlayed`.
Extended form, `Streaming_History_Audio_*.json` and `endsong_*.json`: `ts` (ISO 8601), `ms_played`,
`master_metadata_track_name`, `master_metadata_album_artist_name`, `spotify_track_uri`, `episode_name` … Both log the
END of a play. Of everything else in an export (addresses, payments, devices) nothing is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from ingestion.readers.parsing.names import name_id
from ingestion.readers.parsing.play_timestamps import EndTimestampStager
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.sources import Member, SourceError

BASIC_PATTERN = re.compile(r"StreamingHistory(_music_)?\d*\.json$")
EXTENDED_PATTERN = re.compile(r"(Streaming_History_Audio_.*|endsong_\d*)\.json$")
# Folders that every export has: they do not tell one person from another.
EXPORT_FOLDERS = {"MyData", "my_spotify_data", "Spotify Account Data", "Spotify Extended Streaming History"}
COLUMNS = [
    "user_id",
    "ended_at",
    "artist",
    "title",
    "uri",
    "album",
    "played_ms",
    "source_file",
    "source_line",
    "reason",
]
Play = dict[str, Any]


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if BASIC_PATTERN.match(member.file) or EXTENDED_PATTERN.match(member.file)]


def _read(files: list[Member], reading: ReadContext) -> Iterator[Rows]:
    endings = EndTimestampStager(reading.scratch)
    catalogue: dict[str, dict[str, Play]] = {"tracks": {}, "artists": {}, "albums": {}}
    covered_until: dict[str, str] = {}
    try:
        # Extended first: where a person gives both forms, the basic one repeats the same plays at coarser times.
        for member in sorted(files, key=lambda member: (not EXTENDED_PATTERN.match(member.file), member.name)):
            yield from _plays(
                member,
                _user_id(member, files, reading.user_id or reading.source_name),
                covered_until,
                endings,
                catalogue,
                reading,
            )
        yield from endings.events()
        for table, rows in catalogue.items():
            if rows:
                yield Rows(table, pl.DataFrame(list(rows.values()), infer_schema_length=None))
    finally:
        endings.close()


def _plays(
    member: Member,
    listener: str,
    covered_until: dict[str, str],
    endings: EndTimestampStager,
    catalogue: dict[str, dict[str, Play]],
    reading: ReadContext,
) -> Iterator[Rows]:
    rows = _array(member, reading)
    is_extended = EXTENDED_PATTERN.match(member.file) is not None
    plays = [(_extended if is_extended else _basic)(row) for row in rows]
    for line, play in enumerate(plays, start=1):
        play |= {"user_id": listener, "source_file": member.name, "source_line": line}
    duplicate = 0
    if is_extended:
        ends = [play["ended_at"] for play in plays if play["ended_at"]]
        covered_until[listener] = max([covered_until.get(listener, ""), *(end[:16].replace("T", " ") for end in ends)])
    else:
        kept = [play for play in plays if play["reason"] or play["ended_at"][:16] > covered_until.get(listener, "")]
        duplicate, plays = len(plays) - len(kept), kept
    for play in plays:
        _add_ids(play, catalogue)
    schema = dict.fromkeys((*COLUMNS, "track_id", "artist_id"), pl.String) | {"source_line": pl.Int64}
    frame = pl.DataFrame(plays, schema=schema)
    rejected = endings.add(
        frame.select("user_id", "ended_at", "track_id", "played_ms", "source_file", "source_line", "reason")
    )
    raw = [json.dumps(rows[line - 1], ensure_ascii=False) for line in rejected["source_line"]]
    rejects = rejected.select("source_file", "source_line", "reason", "user_id").with_columns(
        pl.Series("raw", raw, pl.String)
    )
    yield Rows("listening_events", rejects, duplicate)


def _array(member: Member, reading: ReadContext) -> list[Any]:
    try:
        rows = json.loads(member.read(reading.report_progress).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{member.name} is not valid JSON ({error}); download the export again") from error
    if not isinstance(rows, list):
        raise SourceError(f"{member.name} is not a list of plays; download the export again")
    return rows


def _basic(row: Any) -> Play:
    if not isinstance(row, dict):
        return _invalid_row()
    return {
        "ended_at": _text(row.get("endTime")),
        "artist": _text(row.get("artistName")),
        "title": _text(row.get("trackName")),
        "uri": None,
        "album": None,
        "played_ms": _text(row.get("msPlayed")),
        "reason": None,
    }


def _extended(row: Any) -> Play:
    if not isinstance(row, dict):
        return _invalid_row()
    title = _text(row.get("master_metadata_track_name"))
    other = _text(row.get("episode_name")) or _text(row.get("spotify_episode_uri")) or _text(row.get("audiobook_title"))
    return {
        "ended_at": _text(row.get("ts")),
        "artist": _text(row.get("master_metadata_album_artist_name")),
        "title": title,
        "uri": _text(row.get("spotify_track_uri")),
        "album": _text(row.get("master_metadata_album_album_name")),
        "played_ms": _text(row.get("ms_played")),
        "reason": "a podcast episode or an audiobook, not a track" if other and not title else None,
    }


def _invalid_row() -> Play:
    empty: Play = dict.fromkeys(("ended_at", "artist", "title", "uri", "album", "played_ms"), None)
    return empty | {"ended_at": "", "reason": "the row is not a JSON object"}


def _add_ids(play: Play, catalogue: dict[str, dict[str, Play]]) -> None:
    """Gives a play its track and artist ids, and the catalogue a row for each of them."""
    artist, title, uri = play["artist"], play["title"], play["uri"]
    by_name = name_id(artist, title) if artist and title else None
    by_uri = uri.removeprefix("spotify:track:") if uri and uri.startswith("spotify:track:") else None
    play["track_id"] = track = by_uri or by_name
    play["artist_id"] = artist_id = name_id(artist) if artist else None
    if track is None and not play["reason"]:
        play["reason"] = "no track: neither an artist and a title nor a track uri"
    if play["reason"] or track is None:
        return
    origin = {"source_file": play["source_file"], "source_line": play["source_line"]}
    album_id = name_id(artist, play["album"]) if artist and play["album"] else None
    artist_ids = [artist_id] if artist_id else []
    catalogue["tracks"].setdefault(
        track,
        {"track_id": track, "recording_id": by_name, "title": title, "artist_ids": artist_ids, "album_id": album_id}
        | origin,
    )
    if artist_id:
        catalogue["artists"].setdefault(artist_id, {"artist_id": artist_id, "name": artist} | origin)
    if album_id:
        album = {"album_id": album_id, "title": play["album"], "artist_ids": artist_ids} | origin
        catalogue["albums"].setdefault(album_id, album)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode().strip() or None  # a lone surrogate cannot be written as UTF-8


def _user_id(member: Member, files: list[Member], alone: str) -> str:
    """The user of a file: its first folder when the files lie in several people's folders, else the name of the
    source.
    """
    if len({_user_folder(file) for file in files}) > 1:
        return _user_folder(member) or alone
    return alone


def _user_folder(member: Member) -> str:
    folders = [part for part in member.parts[:-1] if part not in EXPORT_FOLDERS]
    return folders[0] if folders else ""


READER = Reader(select_files=_select_files, read=_read, period="month", split="user_time")
