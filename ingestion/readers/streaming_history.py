"""Personal streaming-history exports: a downloaded zip, its folder, or a folder with the exports of several users.

Basic form, `StreamingHistory*.json`: `endTime` ("YYYY-MM-DD HH:MM", UTC), `artistName`, `trackName`, `msPlayed`.
Extended form, `Streaming_History_Audio_*.json` and `endsong_*.json`: `ts` (ISO 8601), `ms_played`,
`master_metadata_track_name`, `master_metadata_album_artist_name`, `spotify_track_uri`, `episode_name` … Both log the
END of a play. The rest of an export (addresses, payments, devices) is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from ingestion.readers.parsing import json_rows
from ingestion.readers.parsing.named_plays import name_id
from ingestion.readers.parsing.play_timestamps import EndTimestampStager
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member, SourceError

BASIC_PATTERN = re.compile(r"StreamingHistory(_music_)?\d*\.json$")
EXTENDED_PATTERN = re.compile(r"(Streaming_History_Audio_.*|endsong_\d*)\.json$")
# Folders that every export contains; they do not identify the user.
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
UNREADABLE = object()
"""An element of the array that is not JSON, is nested too deeply, or is not valid Unicode."""
NOT_READABLE = "the row is not JSON, is nested too deeply, or has an unpaired surrogate"
MAX_FILE_BYTES = 64 << 20  # real exports are split into files below 20 MB
MAX_GRACE_VALUES = 200_000
MIN_BYTES_PER_VALUE = 8  # of a file with more values; plays have 16 and more
PLAYS_PER_BLOCK = 50_000
Play = dict[str, Any]


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if BASIC_PATTERN.match(member.file) or EXTENDED_PATTERN.match(member.file)]


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    stager = EndTimestampStager(context.scratch, context.latest)
    catalog: dict[str, dict[str, Play]] = {"tracks": {}, "artists": {}, "albums": {}}
    covered_until: dict[str, str] = {}
    try:
        # Extended form first: if a user exports both forms, the basic one repeats the plays with coarser timestamps.
        for member in sorted(files, key=lambda member: (not EXTENDED_PATTERN.match(member.file), member.name)):
            yield from _plays(
                member,
                _user_id(member, files, context.user_id or context.source_name),
                covered_until,
                stager,
                catalog,
                context,
            )
        yield from stager.events()
        for table, rows in catalog.items():
            if rows:
                yield Rows(table, pl.DataFrame(list(rows.values()), infer_schema_length=None))
    finally:
        stager.close()


def _plays(
    member: Member,
    user_id: str,
    covered_until: dict[str, str],
    stager: EndTimestampStager,
    catalog: dict[str, dict[str, Play]],
    context: ReadContext,
) -> Iterator[Rows]:
    """Stage the plays of one file, in blocks, and yield the rejected ones.

    Args:
        member: The file. user_id: User of the file. covered_until: Newest minute ("YYYY-MM-DD HH:MM") of each user's
        extended files; updated by extended files. Plays
            of basic files up to that minute are dropped as duplicates.
        stager: Receives the plays.
        catalog: Receives tracks, artists and albums.
        context: Context of the run.
    """
    texts, rows = _elements(member, context)
    for begin in range(0, len(rows), PLAYS_PER_BLOCK):
        yield _stage_block(
            member, user_id, begin, rows[begin : begin + PLAYS_PER_BLOCK], texts, covered_until, stager, catalog
        )


def _stage_block(
    member: Member,
    user_id: str,
    begin: int,
    rows: list[Any],
    texts: Callable[[int], str],
    covered_until: dict[str, str],
    stager: EndTimestampStager,
    catalog: dict[str, dict[str, Play]],
) -> Rows:
    """Stage the plays from element `begin` on and return the rejected ones; see `_plays`."""
    is_extended = EXTENDED_PATTERN.match(member.file) is not None
    plays = [(_extended if is_extended else _basic)(row) for row in rows]
    for line, play in enumerate(plays, start=begin + 1):
        play |= {"user_id": user_id, "source_file": member.name, "source_line": line}
    duplicate = 0
    if not is_extended:
        covered = covered_until.get(user_id, "")
        new = [play for play in plays if play["reason"] or not play["ended_at"] or play["ended_at"][:16] > covered]
        duplicate, plays = len(plays) - len(new), new
    for play in plays:
        _add_ids(play, catalog)
    schema = dict.fromkeys((*COLUMNS, "track_id", "artist_id"), pl.String) | {"source_line": pl.Int64}
    frame = pl.DataFrame(plays, schema=schema)
    rejected = stager.add(
        frame.select("user_id", "ended_at", "track_id", "played_ms", "source_file", "source_line", "reason")
    )
    if is_extended:
        # Not the ends of rejected plays: one with a wrong year would cover every play of the basic form.
        valid = frame.join(rejected.select("source_line"), on="source_line", how="anti")
        ends = valid["ended_at"].str.slice(0, 16).str.replace("T", " ", literal=True)
        covered_until[user_id] = max([covered_until.get(user_id, ""), *ends])
    rejects = rejected.select("source_file", "source_line", "reason", "user_id").with_columns(
        pl.Series("raw", [texts(line - 1) for line in rejected["source_line"]], pl.String)
    )
    return Rows("listening_events", rejects, duplicate, sum(row is UNREADABLE for row in rows))


def _elements(member: Member, context: ReadContext) -> tuple[Callable[[int], str], list[Any]]:
    """Elements of the file's JSON array.

    Returns:
        A function from the number of an element to its text, and the parsed elements. An element that cannot be parsed
        is UNREADABLE, if the array itself is complete.

    Raises:
        SourceError: The file is too large or not a complete JSON array; the message names the line.
    """
    text = _read_text(member, context)
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        elements = json_rows.split_array(text.strip())
        if elements is None:
            raise SourceError(f"{member.name} is not valid JSON ({error}); download the export again") from error
        return lambda number: elements[number][: json_rows.KEPT_CHARACTERS], list(map(_parse_element, elements))
    if not isinstance(rows, list):
        raise SourceError(f"{member.name} is not a list of plays; download the export again")
    parsed = rows
    if json_rows.SURROGATE_ESCAPE.search(text):
        parsed = [UNREADABLE if json_rows.has_unpaired_surrogate(row) else row for row in rows]
    return lambda number: json_rows.to_text(rows[number]), parsed


def _read_text(member: Member, context: ReadContext) -> str:
    """Text of the file, of which parsing takes memory in proportion to a real export.

    Raises:
        SourceError: The file is too large, or has too many values for its size.
    """
    if member.size > MAX_FILE_BYTES:
        raise SourceError(
            f"{member.name} has {member.size >> 20} MB, more than the {MAX_FILE_BYTES >> 20} MB that a file of an export may "
            "have; split its list into several files"
        )
    content = member.read(context.report_progress)
    values = sum(map(content.count, (b"[", b"{", b",")))
    if values > MAX_GRACE_VALUES + len(content) // MIN_BYTES_PER_VALUE:
        raise SourceError(
            f"{member.name} has {values:,} values in {len(content):,} bytes, which are not plays; download the export again"
        )
    return content.decode("utf-8-sig", "replace")


def _parse_element(text: str) -> Any:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return UNREADABLE
    return UNREADABLE if json_rows.has_unpaired_surrogate(row) else row


def _basic(row: Any) -> Play:
    if not isinstance(row, dict):
        return _invalid_row(row)
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
        return _invalid_row(row)
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


def _invalid_row(row: Any) -> Play:
    empty: Play = dict.fromkeys(("ended_at", "artist", "title", "uri", "album", "played_ms"), None)
    return empty | {"reason": NOT_READABLE if row is UNREADABLE else "the row is not a JSON object"}


def _add_ids(play: Play, catalog: dict[str, dict[str, Play]]) -> None:
    """Add the track and artist ids to a play, and a row for each of them to the catalog."""
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
    catalog["tracks"].setdefault(
        track,
        {"track_id": track, "recording_id": by_name, "title": title, "artist_ids": artist_ids, "album_id": album_id}
        | origin,
    )
    if artist_id:
        catalog["artists"].setdefault(artist_id, {"artist_id": artist_id, "name": artist} | origin)
    if album_id:
        album = {"album_id": album_id, "title": play["album"], "artist_ids": artist_ids} | origin
        catalog["albums"].setdefault(album_id, album)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text.strip() or None


def _user_id(member: Member, files: list[Member], default: str) -> str:
    """User of a file: its first folder if the files are in folders of several users, otherwise `default`."""
    if len({_user_folder(file) for file in files}) > 1:
        return _user_folder(member) or default
    return default


def _user_folder(member: Member) -> str:
    folders = [part for part in member.parts[:-1] if part not in EXPORT_FOLDERS]
    return folders[0] if folders else ""


READER = Reader(select_files=_select_files, read=_read, period="month", split="user_time")
