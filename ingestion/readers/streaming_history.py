"""Personal streaming-history exports: a downloaded zip, its folder, or a folder with the exports of several users.

Basic form, `StreamingHistory*.json`: `endTime` ("YYYY-MM-DD HH:MM", UTC), `artistName`, `trackName`, `msPlayed`.
Extended form, `Streaming_History_Audio_*.json` and `endsong_*.json`: `ts` (ISO 8601), `ms_played`,
`master_metadata_track_name`, `master_metadata_album_artist_name`, `spotify_track_uri`, `episode_name` … Both log the
END of a play. The rest of an export (addresses, payments, devices) is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

import polars as pl

from ingestion.readers.parsing import json_rows
from ingestion.readers.parsing.named_plays import EVENTS, NamedPlays
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member, SourceError

BASIC_PATTERN = re.compile(r"StreamingHistory(_music_)?\d*\.json$")
EXTENDED_PATTERN = re.compile(r"(Streaming_History_Audio_.*|endsong_\d*)\.json$")
# Folders that every export contains; they do not identify the user.
EXPORT_FOLDERS = {"MyData", "my_spotify_data", "Spotify Account Data", "Spotify Extended Streaming History"}
MAX_FILE_BYTES = 64 << 20  # real exports are split into files below 20 MB
MAX_GRACE_VALUES = 200_000
MIN_BYTES_PER_VALUE = 8  # of a file with more values; plays have 16 and more
PLAYS_PER_BLOCK = 50_000
TRACK_URI = "spotify:track:"
COLUMNS = ("user", "at_us", "track", "title", "artist", "artist_id", "album", "action", "played_ms", "reason")


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if BASIC_PATTERN.match(member.file) or EXTENDED_PATTERN.match(member.file)]


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    covered_until: dict[str, str] = {}
    with closing(NamedPlays(context.scratch, "end", context.latest)) as plays:
        # Extended form first: if a user exports both forms, the basic one repeats the plays with coarser timestamps.
        for member in sorted(files, key=lambda member: (not EXTENDED_PATTERN.match(member.file), member.name)):
            user, elements = _user_id(member, files, context.user_id or context.source_name), _elements(member, context)
            for begin in range(0, len(elements), PLAYS_PER_BLOCK):
                block = list(enumerate(elements[begin : begin + PLAYS_PER_BLOCK], start=begin + 1))
                yield from _stage_block(member, user, block, covered_until, plays, context.latest)
        yield from plays.events()
        yield from plays.catalog()


def _stage_block(
    member: Member,
    user: str,
    block: Sequence[tuple[int, Any]],
    covered_until: dict[str, str],
    plays: NamedPlays,
    latest: datetime,
) -> Iterator[Rows]:
    """Stage plays and yield the rejected ones.

    Args:
        member: The file.
        user: User of the file.
        block: Numbers and elements of the file's array.
        covered_until: Newest minute ("YYYY-MM-DD HH:MM") of each user's extended files; updated by extended files. Plays
            of basic files up to that minute are dropped as duplicates.
        plays: Receives the plays.
        latest: Plays that end at or after this time are rejected.
    """
    is_extended = EXTENDED_PATTERN.match(member.file) is not None
    rows = [{"source_line": line} | _play(element, is_extended) for line, element in block]
    schema = dict.fromkeys(COLUMNS, pl.String) | {"source_line": pl.Int64}
    constant = {"user": pl.lit(user), "action": pl.lit("play"), "source_file": pl.lit(member.name)}
    frame = pl.DataFrame(rows, schema=schema).with_columns(**constant)
    minute = pl.col("at_us").str.slice(0, 16).str.replace("T", " ", literal=True)
    covered = covered_until.get(user, "")
    if is_extended:
        # A play with a wrong year would cover every play of the basic form.
        known = frame.filter(minute < f"{latest:%Y-%m-%d %H:%M}").select(minute).to_series()
        covered_until[user] = max([covered, *known])
    else:
        is_new = pl.col("reason").is_not_null() | pl.col("at_us").is_null() | (minute > covered)
        new = frame.filter(is_new)
        yield Rows(EVENTS, new.clear(), duplicate=frame.height - new.height)
        frame = new
    raw = pl.LazyFrame(
        {"source_line": [line for line, _ in block], "raw": [json_rows.to_text(element) for _, element in block]}
    )
    yield from plays.add(frame, raw)


def _elements(member: Member, context: ReadContext) -> list[Any]:
    """Elements of the file's JSON array.

    Raises:
        SourceError: The file is too large or not a JSON array; the message names the line.
    """
    text = _read_text(member, context)
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{member.name} is not valid JSON ({error}); download the export again") from error
    if not isinstance(rows, list):
        raise SourceError(f"{member.name} is not a list of plays; download the export again")
    return rows


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


def _play(row: Any, is_extended: bool) -> dict[str, str | None]:
    if not isinstance(row, dict):
        return {"reason": "the row is not a JSON object"}
    if json_rows.has_unpaired_surrogate(row):
        return {"reason": json_rows.NOT_UNICODE}
    return _extended(row) if is_extended else _basic(row)


def _basic(row: dict[str, Any]) -> dict[str, str | None]:
    return {
        "at_us": _text(row.get("endTime")),
        "artist": _text(row.get("artistName")),
        "title": _text(row.get("trackName")),
        "played_ms": _text(row.get("msPlayed")),
    }


def _extended(row: dict[str, Any]) -> dict[str, str | None]:
    title, uri = _text(row.get("master_metadata_track_name")), _text(row.get("spotify_track_uri")) or ""
    other = _text(row.get("episode_name")) or _text(row.get("spotify_episode_uri")) or _text(row.get("audiobook_title"))
    return {
        "at_us": _text(row.get("ts")),
        "track": uri.removeprefix(TRACK_URI) if uri.startswith(TRACK_URI) else None,
        "title": title,
        "artist": _text(row.get("master_metadata_album_artist_name")),
        "album": _text(row.get("master_metadata_album_album_name")),
        "played_ms": _text(row.get("ms_played")),
        "reason": "a podcast episode or an audiobook, not a track" if other and not title else None,
    }


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
