"""ListenBrainz (MetaBrainz Foundation): listens of everybody who shares them, CC0, and what one person exports of theirs.

The dump of listens: `listenbrainz-listens-dump-ID-DATE-full` or `-incremental`, as `.tar.zst`, `.tar.xz` or `.tar`, or the
folder that is in it, or some of its files `listens/YEAR/MONTH.listens`. One JSON object a line: `user_id, user_name,
timestamp` (or `listened_at`; seconds since 1970, UTC, when the play began), `track_metadata` with `artist_name, track_name,
release_name, additional_info` (`recording_mbid, artist_mbids` …). Nothing is unpacked to the disk.

One's own export: the zip from the settings of the account, `user.json` with `listens/YEAR/MONTH.jsonl` (the same objects
without the user; `track_metadata.mbid_mapping` with the ids that were found for them) and `feedback.jsonl`
(`recording_mbid, recording_msid, score` of 1 or -1, `created`). The user is the same in both.

Different from the data: a listen has no length, so `beginnings.py` gives it one; the length of the track, where a client sent
it, is left alone, as a listen does not say how much of it was heard. Pinned recordings, tags and names of users are not read.
"""

from __future__ import annotations

import json
import lzma
import tarfile
from collections.abc import Iterator
from typing import IO, Any

import polars as pl
import pyarrow as pa

from ingestion.readers.parsing import json_rows, lines
from ingestion.readers.parsing.named_plays import COLUMNS, NamedPlays
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.sources import Member, SourceError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tar.xz", ".tar.zst")
DUMP_SUFFIX, EXPORT_SUFFIX, FEEDBACK_FILE, USER_FILE = ".listens", ".jsonl", "feedback.jsonl", "user.json"
MAX_PEEKED_MEMBERS = 16
"""Of these many files at the head of a dump one has listens; before them lie its license, its time and its folders."""
MAX_EPOCH_S = 10_000_000_000
FEEDBACK_ACTIONS = {1: "like", -1: "dislike"}
Recordings = dict[str, dict[str, str | None]]


def _select_files(files: list[Member]) -> list[Member]:
    listens = [member for member in files if _has_listens(member)]
    own = {_export_folder(member) for member in listens if member.file.endswith(EXPORT_SUFFIX)}
    # Feedback last: it may call a recording by what a listen told of it.
    beside = [member for member in files if member.file in (USER_FILE, FEEDBACK_FILE) and member.parts[:-1] in own]
    return [*listens, *sorted(beside, key=lambda member: member.file != USER_FILE)]


def _has_listens(member: Member) -> bool:
    if member.file.endswith(TAR_SUFFIXES):
        return "listen" in member.file and _is_dump(member)
    in_export = member.file.endswith(EXPORT_SUFFIX) and len(member.parts) > 2 and member.parts[-3] == "listens"
    if not in_export and not member.file.endswith(DUMP_SUFFIX):
        return False
    row, _ = json_rows.parse_object(member.peek().split(b"\n", 1)[0].decode("utf-8", "replace"))
    return "track_metadata" in row


def _is_dump(member: Member) -> bool:
    try:
        with member.open() as raw, _open_tar(raw, member) as archive:
            return any(
                entry.name.endswith(DUMP_SUFFIX) for entry, _ in zip(archive, range(MAX_PEEKED_MEMBERS), strict=False)
            )
    except (*lines.READ_ERRORS, tarfile.TarError):
        return False


def _open_tar(raw: IO[bytes], member: Member) -> tarfile.TarFile:
    """The archive as a stream: each of its files may be read once, in its order."""
    stream: Any = raw  # `.gz` is unpacked by the member
    if member.file.endswith(".xz"):
        stream = lzma.LZMAFile(raw)  # noqa: SIM115 - closed with what it reads from
    elif member.file.endswith(".zst"):
        stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return tarfile.open(fileobj=stream, mode="r|")


def _read(files: list[Member], reading: ReadContext) -> Iterator[Rows]:
    users = {member.parts[:-1]: _read_user_id(member, reading) for member in files if member.file == USER_FILE}
    own_listener = reading.user_id or reading.source_name
    plays = NamedPlays(reading.scratch, "begin")
    recordings: Recordings = {}
    try:
        for member in files:
            user = reading.user_id or users.get(_export_folder(member)) or own_listener
            if member.file.endswith(TAR_SUFFIXES):
                yield from _read_dump(member, plays, reading)
            elif member.file == FEEDBACK_FILE:
                with member.open(reading.report_progress) as stream:
                    for block in lines.read_line_blocks(stream, member.name):
                        yield from plays.add(_feedback(block, member.name, user, recordings), _raw_lines(block))
            elif member.file != USER_FILE:
                is_own = member.file.endswith(EXPORT_SUFFIX)
                with member.open(reading.report_progress) as stream:
                    for block in lines.read_line_blocks(stream, member.name):
                        named = _listens(block, member.name, user if is_own else None, recordings if is_own else None)
                        yield from plays.add(named, _raw_lines(block))
        yield from plays.events()
        yield from plays.catalog()
    finally:
        plays.close()


def _read_dump(member: Member, plays: NamedPlays, reading: ReadContext) -> Iterator[Rows]:
    try:
        with member.open(reading.report_progress) as raw, _open_tar(raw, member) as archive:
            for entry in archive:
                listens = archive.extractfile(entry) if entry.isfile() and entry.name.endswith(DUMP_SUFFIX) else None
                if listens is not None:
                    name = f"{member.name}/{entry.name}"
                    for block in lines.read_line_blocks(listens, name):
                        yield from plays.add(_listens(block, name), _raw_lines(block))
    except (*lines.READ_ERRORS, tarfile.TarError) as error:
        raise SourceError(f"{member.name} is damaged ({error}); get the dump again") from error


def _listens(
    block: list[tuple[int, str]], name: str, user: str | None = None, recordings: Recordings | None = None
) -> pl.DataFrame:
    """Listens as NamedPlays takes them; `recordings` is told which recording each message of a listen was about."""
    rows = []
    for number, text in block:
        listen, reason = json_rows.parse_object(text)
        told = _object(listen, "track_metadata")
        info, mapped = _object(told, "additional_info"), _object(told, "mbid_mapping")
        artists = mapped.get("artist_mbids") or info.get("artist_mbids")
        track = _clean_text(mapped.get("recording_mbid")) or _clean_text(info.get("recording_mbid"))
        time = listen.get("listened_at", listen.get("timestamp"))
        at_us = _microseconds(time)
        row: dict[str, Any] = {
            "user": user or _clean_text(listen.get("user_id")) or _clean_text(listen.get("user_name")),
            "at_us": at_us,
            "track": track,
            "title": _clean_text(told.get("track_name")),
            "artist": _clean_text(told.get("artist_name")),
            # One credit may name several artists; an id is that of the name only where there is one.
            "artist_id": _clean_text(artists[0]) if isinstance(artists, list) and len(artists) == 1 else None,
            "album": _clean_text(told.get("release_name")),
            "action": "play",
        }
        rows.append(row | {"reason": reason or _time_problem("listened_at", time, at_us), "source_line": number})
        message = _clean_text(listen.get("recording_msid")) or _clean_text(told.get("recording_msid"))
        if recordings is not None and message:
            recordings[message] = {key: row[key] for key in ("track", "title", "artist")}
    return _frame(rows, name)


def _feedback(block: list[tuple[int, str]], name: str, user: str, recordings: Recordings) -> pl.DataFrame:
    rows = []
    for number, text in block:
        given, reason = json_rows.parse_object(text)
        score, time = given.get("score"), given.get("created")
        action, at_us = FEEDBACK_ACTIONS.get(score) if isinstance(score, int) else None, _microseconds(time)
        if action is None:
            reason = reason or f"score {json.dumps(score)[:80]} is neither 1 nor -1"
        message = _clean_text(given.get("recording_msid"))
        track = _clean_text(given.get("recording_mbid"))
        about = {"track": track} if track else recordings.get(message or "", {})
        row = {"user": user, "at_us": at_us, "action": action, "source_line": number} | about
        rows.append(row | {"reason": reason or _time_problem("created", time, at_us)})
    return _frame(rows, name)


def _frame(rows: list[dict[str, Any]], name: str) -> pl.DataFrame:
    numbers = ("at_us", "played_ms", "source_line")
    schema = {column: pl.Int64 if column in numbers else pl.String for column in (*COLUMNS, "reason", "source_line")}
    return pl.DataFrame(rows, schema=schema).with_columns(source_file=pl.lit(name))


def _raw_lines(block: list[tuple[int, str]]) -> pl.LazyFrame:
    return pl.LazyFrame(block, schema={"source_line": pl.Int64, "raw": pl.String}, orient="row")


def _object(row: dict[str, Any], key: str) -> dict[str, Any]:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _clean_text(value: Any) -> str | None:
    """Text or a whole number as text; None for anything else and for nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text.encode("utf-8", "replace").decode().strip() or None  # a lone surrogate cannot be written as UTF-8


def _microseconds(seconds: Any) -> int | None:
    """µs since 1970 from seconds; None for what is no number or too far away to be computed with."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not abs(seconds) < MAX_EPOCH_S:
        return None
    whole: int = round(seconds * 1_000_000)
    return whole


def _time_problem(key: str, given: Any, at_us: int | None) -> str | None:
    if at_us is not None:
        return None
    return f"{key} {json.dumps(given)[:80]} is not a number of seconds since 1970"


def _export_folder(member: Member) -> tuple[str, ...]:
    """The folder of an export, from any of its files."""
    return member.parts[:-1] if member.file in (USER_FILE, FEEDBACK_FILE) else member.parts[:-3]


def _read_user_id(member: Member, reading: ReadContext) -> str | None:
    row, _ = json_rows.parse_object(member.read(reading.report_progress).decode("utf-8", "replace"))
    return _clean_text(row.get("user_id"))


READER = Reader(select_files=_select_files, read=_read, period="month", split="global_time")
