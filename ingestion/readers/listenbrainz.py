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

from ingestion.readers import json_rows, lines
from ingestion.readers.named_plays import COLUMNS, NamedPlays
from ingestion.readers.reading import Reader, Reading, Rows
from ingestion.sources import Member, SourceError

TARS = (".tar", ".tar.gz", ".tar.xz", ".tar.zst")
OF_DUMP, OF_EXPORT, FEEDBACK, USER = ".listens", ".jsonl", "feedback.jsonl", "user.json"
FIRST_MEMBERS = 16
"""Of these many files at the head of a dump one has listens; before them lie its license, its time and its folders."""
WITHIN_S = 10_000_000_000
LIKES = {1: "like", -1: "dislike"}
Recordings = dict[str, dict[str, str | None]]


def _finds(files: list[Member]) -> list[Member]:
    listens = [member for member in files if _has_listens(member)]
    own = {_person(member) for member in listens if member.file.endswith(OF_EXPORT)}
    # Feedback last: it may call a recording by what a listen told of it.
    beside = [member for member in files if member.file in (USER, FEEDBACK) and member.parts[:-1] in own]
    return [*listens, *sorted(beside, key=lambda member: member.file != USER)]


def _has_listens(member: Member) -> bool:
    if member.file.endswith(TARS):
        return "listen" in member.file and _is_dump(member)
    in_export = member.file.endswith(OF_EXPORT) and len(member.parts) > 2 and member.parts[-3] == "listens"
    if not in_export and not member.file.endswith(OF_DUMP):
        return False
    row, _ = json_rows.parsed(member.peek().split(b"\n", 1)[0].decode("utf-8", "replace"))
    return "track_metadata" in row


def _is_dump(member: Member) -> bool:
    try:
        with member.open() as raw, _tar(raw, member) as archive:
            return any(entry.name.endswith(OF_DUMP) for entry, _ in zip(archive, range(FIRST_MEMBERS), strict=False))
    except (*lines.DAMAGED, tarfile.TarError):
        return False


def _tar(raw: IO[bytes], member: Member) -> tarfile.TarFile:
    """The archive as a stream: each of its files may be read once, in its order."""
    stream: Any = raw  # `.gz` is unpacked by the member
    if member.file.endswith(".xz"):
        stream = lzma.LZMAFile(raw)  # noqa: SIM115 - closed with what it reads from
    elif member.file.endswith(".zst"):
        stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return tarfile.open(fileobj=stream, mode="r|")


def _read(files: list[Member], reading: Reading) -> Iterator[Rows]:
    users = {member.parts[:-1]: _user(member, reading) for member in files if member.file == USER}
    own_listener = reading.listener or reading.source
    plays = NamedPlays(reading.scratch, "begin")
    recordings: Recordings = {}
    try:
        for member in files:
            user = reading.listener or users.get(_person(member)) or own_listener
            if member.file.endswith(TARS):
                yield from _dump(member, plays, reading)
            elif member.file == FEEDBACK:
                with member.open(reading.watch) as stream:
                    for block in lines.blocks(stream, member.name):
                        yield from plays.add(_feedback(block, member.name, user, recordings), _text(block))
            elif member.file != USER:
                is_own = member.file.endswith(OF_EXPORT)
                with member.open(reading.watch) as stream:
                    for block in lines.blocks(stream, member.name):
                        named = _listens(block, member.name, user if is_own else None, recordings if is_own else None)
                        yield from plays.add(named, _text(block))
        yield from plays.events()
        yield from plays.catalogue()
    finally:
        plays.close()


def _dump(member: Member, plays: NamedPlays, reading: Reading) -> Iterator[Rows]:
    try:
        with member.open(reading.watch) as raw, _tar(raw, member) as archive:
            for entry in archive:
                listens = archive.extractfile(entry) if entry.isfile() and entry.name.endswith(OF_DUMP) else None
                if listens is not None:
                    name = f"{member.name}/{entry.name}"
                    for block in lines.blocks(listens, name):
                        yield from plays.add(_listens(block, name), _text(block))
    except (*lines.DAMAGED, tarfile.TarError) as error:
        raise SourceError(f"{member.name} is damaged ({error}); get the dump again") from error


def _listens(
    block: list[tuple[int, str]], name: str, user: str | None = None, recordings: Recordings | None = None
) -> pl.DataFrame:
    """Listens as NamedPlays takes them; `recordings` is told which recording each message of a listen was about."""
    rows = []
    for number, text in block:
        listen, reason = json_rows.parsed(text)
        told = _object(listen, "track_metadata")
        info, mapped = _object(told, "additional_info"), _object(told, "mbid_mapping")
        artists = mapped.get("artist_mbids") or info.get("artist_mbids")
        track = _word(mapped.get("recording_mbid")) or _word(info.get("recording_mbid"))
        time = listen.get("listened_at", listen.get("timestamp"))
        at_us = _microseconds(time)
        row: dict[str, Any] = {
            "user": user or _word(listen.get("user_id")) or _word(listen.get("user_name")),
            "at_us": at_us,
            "track": track,
            "title": _word(told.get("track_name")),
            "artist": _word(told.get("artist_name")),
            # One credit may name several artists; an id is that of the name only where there is one.
            "artist_id": _word(artists[0]) if isinstance(artists, list) and len(artists) == 1 else None,
            "album": _word(told.get("release_name")),
            "action": "play",
        }
        rows.append(row | {"reason": reason or _time_problem("listened_at", time, at_us), "source_line": number})
        message = _word(listen.get("recording_msid")) or _word(told.get("recording_msid"))
        if recordings is not None and message:
            recordings[message] = {key: row[key] for key in ("track", "title", "artist")}
    return _frame(rows, name)


def _feedback(block: list[tuple[int, str]], name: str, user: str, recordings: Recordings) -> pl.DataFrame:
    rows = []
    for number, text in block:
        given, reason = json_rows.parsed(text)
        score, time = given.get("score"), given.get("created")
        action, at_us = LIKES.get(score) if isinstance(score, int) else None, _microseconds(time)
        if action is None:
            reason = reason or f"score {json.dumps(score)[:80]} is neither 1 nor -1"
        message = _word(given.get("recording_msid"))
        track = _word(given.get("recording_mbid"))
        about = {"track": track} if track else recordings.get(message or "", {})
        row = {"user": user, "at_us": at_us, "action": action, "source_line": number} | about
        rows.append(row | {"reason": reason or _time_problem("created", time, at_us)})
    return _frame(rows, name)


def _frame(rows: list[dict[str, Any]], name: str) -> pl.DataFrame:
    numbers = ("at_us", "played_ms", "source_line")
    schema = {column: pl.Int64 if column in numbers else pl.String for column in (*COLUMNS, "reason", "source_line")}
    return pl.DataFrame(rows, schema=schema).with_columns(source_file=pl.lit(name))


def _text(block: list[tuple[int, str]]) -> pl.LazyFrame:
    return pl.LazyFrame(block, schema={"source_line": pl.Int64, "raw": pl.String}, orient="row")


def _object(row: dict[str, Any], key: str) -> dict[str, Any]:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str | None:
    """Text or a whole number as text; None for anything else and for nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text.encode("utf-8", "replace").decode().strip() or None  # a lone surrogate cannot be written as UTF-8


def _microseconds(seconds: Any) -> int | None:
    """µs since 1970 from seconds; None for what is no number or too far away to be computed with."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not abs(seconds) < WITHIN_S:
        return None
    whole: int = round(seconds * 1_000_000)
    return whole


def _time_problem(key: str, given: Any, at_us: int | None) -> str | None:
    if at_us is not None:
        return None
    return f"{key} {json.dumps(given)[:80]} is not a number of seconds since 1970"


def _person(member: Member) -> tuple[str, ...]:
    """The folder of an export, from any of its files."""
    return member.parts[:-1] if member.file in (USER, FEEDBACK) else member.parts[:-3]


def _user(member: Member, reading: Reading) -> str | None:
    row, _ = json_rows.parsed(member.read(reading.watch).decode("utf-8", "replace"))
    return _word(row.get("user_id"))


READER = Reader(finds=_finds, read=_read, period="month", split="global_time")
