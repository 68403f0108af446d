"""ListenBrainz (MetaBrainz Foundation): public dumps of all shared listens (CC0), and exports of single accounts.

Dump of listens: `listenbrainz-listens-dump-ID-DATE-full` or `-incremental`, as `.tar.zst`, `.tar.xz` or `.tar`, or the
unpacked folder, or some of its files `listens/YEAR/MONTH.listens`. One JSON object per line: `user_id, user_name,
timestamp` (or `listened_at`; start of the play in seconds since 1970, UTC), `track_metadata` with `artist_name,
track_name, release_name, additional_info` (`recording_mbid, artist_mbids` …). Archives are streamed, not unpacked to
disk.

Account export: the zip from the account settings, `user.json` with `listens/YEAR/MONTH.jsonl` (the same objects without
the user; `track_metadata.mbid_mapping` has the ids that ListenBrainz matched) and `feedback.jsonl` (`recording_mbid,
recording_msid, score` of 1 or -1, `created`). User ids are the same as in the dump.

Differences from the data: a listen has no duration, so `NamedPlays` derives one; the track length that some
clients send is ignored, because a listen does not say how much of the track was played. Pinned recordings, tags and
user names are not read.
"""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import IO, Any

import pyarrow as pa

from ingestion.readers.parsing import json_rows
from ingestion.readers.parsing.json_rows import Block
from ingestion.readers.parsing.named_plays import MAX_EPOCH_S, NamedPlays
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member, SourceError, bound_expansion, printable_name

TAR_SUFFIXES = (".tar", ".tar.gz", ".tar.xz", ".tar.zst")
DUMP_SUFFIX, EXPORT_SUFFIX, FEEDBACK_FILE, USER_FILE = ".listens", ".jsonl", "feedback.jsonl", "user.json"
FEEDBACK_ACTIONS = {1: "like", -1: "dislike"}
Recordings = dict[str, dict[str, str | None]]


def _select_files(files: list[Member]) -> list[Member]:
    listens = [member for member in files if _has_listens(member)]
    own = {_export_folder(member) for member in listens if member.file.endswith(EXPORT_SUFFIX)}
    # Feedback last, because it may refer to a recording by the message id of a listen.
    account_files = [
        member for member in files if member.file in (USER_FILE, FEEDBACK_FILE) and member.parts[:-1] in own
    ]
    return [*listens, *sorted(account_files, key=lambda member: member.file != USER_FILE)]


def _has_listens(member: Member) -> bool:
    if member.file.endswith(TAR_SUFFIXES):
        return "listens-dump" in member.file
    in_export = member.file.endswith(EXPORT_SUFFIX) and len(member.parts) > 2 and member.parts[-3] == "listens"
    if not in_export and not member.file.endswith(DUMP_SUFFIX):
        return False
    row, _ = json_rows.parse_object(member.peek().split(b"\n", 1)[0].decode("utf-8", "replace"))
    return "track_metadata" in row


def _open_tar(raw: IO[bytes], member: Member) -> tarfile.TarFile:
    """Open the archive as a stream, whose members can be read once, in order."""
    stream: Any = raw  # `Member.open` decompresses `.gz`
    if member.file.endswith(".xz"):
        stream = bound_expansion(lzma.open(raw), raw, member)  # noqa: SIM115 - closed with it
    elif member.file.endswith(".zst"):
        stream = bound_expansion(pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd"), raw, member)
    archive = tarfile.open(fileobj=stream, mode="r|")  # noqa: SIM115 - closed by the caller
    archive.fileobj.seekable = lambda: False  # type: ignore[attr-defined] # a reader of text asks
    return archive


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    users = {member.parts[:-1]: _read_user_id(member, context) for member in files if member.file == USER_FILE}
    default_user = context.user_id or context.source_name
    recordings: Recordings = {}
    with closing(NamedPlays(context.scratch, "begin", context.latest)) as plays:
        for member in (one for one in files if one.file != USER_FILE):
            user = context.user_id or users.get(_export_folder(member)) or default_user
            parse = _feedback if member.file == FEEDBACK_FILE else _listen
            account = (user, recordings) if member.file.endswith(EXPORT_SUFFIX) else (None, None)
            for name, block in _read_lines(member, context):
                yield from plays.add_lines(block, name, partial(parse, *account))
        yield from plays.events()
        yield from plays.catalog()


def _read_lines(member: Member, context: ReadContext) -> Iterator[tuple[str, Block]]:
    """Lines of a file, or of the files of listens in a dump, with the name of the file."""
    if not member.file.endswith(TAR_SUFFIXES):
        yield from ((member.name, block) for block in json_rows.read_file(member, context.report_progress))
        return
    try:
        with member.open(context.report_progress) as raw, _open_tar(raw, member) as archive:
            for entry in archive:
                # A sparse file could declare any number of zeros; dumps have none.
                is_listens = entry.isfile() and not entry.issparse() and entry.name.endswith(DUMP_SUFFIX)
                listens = archive.extractfile(entry) if is_listens else None
                if listens is not None:
                    name = printable_name(f"{member.name}/{entry.name}")
                    yield from ((name, block) for block in json_rows.read_line_blocks(listens, name))
    except (*json_rows.READ_ERRORS, tarfile.TarError) as error:
        raise SourceError(f"{member.name} is damaged ({error}); get the dump again") from error


def _listen(user: str | None, recordings: Recordings | None, text: str) -> dict[str, Any]:
    """Parse a listen into the columns of `NamedPlays`.

    Args:
        user: User of an account export; None: from the listen.
        recordings: Receives the recording of the listen by message id (`recording_msid`); None: of a dump.
        text: A line.
    """
    listen, reason = json_rows.parse_object(text)
    metadata = _object(listen, "track_metadata")
    info, mapped = _object(metadata, "additional_info"), _object(metadata, "mbid_mapping")
    artists = mapped.get("artist_mbids") or info.get("artist_mbids")
    at_us, problem = _read_time("listened_at", listen.get("listened_at", listen.get("timestamp")))
    row: dict[str, Any] = {
        "user": user or _clean_text(listen.get("user_id")) or _clean_text(listen.get("user_name")),
        "at_us": at_us,
        "track": _clean_text(mapped.get("recording_mbid")) or _clean_text(info.get("recording_mbid")),
        "title": _clean_text(metadata.get("track_name")),
        "artist": _clean_text(metadata.get("artist_name")),
        # A credit may name several artists; the id belongs to the name only if there is a single artist.
        "artist_id": _clean_text(artists[0]) if isinstance(artists, list) and len(artists) == 1 else None,
        "album": _clean_text(metadata.get("release_name")),
        "action": "play",
        "reason": reason or problem,
    }
    message = _clean_text(listen.get("recording_msid")) or _clean_text(metadata.get("recording_msid"))
    if recordings is not None and message:
        recordings[message] = {key: row[key] for key in ("track", "title", "artist")}
    return row


def _feedback(user: str | None, recordings: Recordings | None, text: str) -> dict[str, Any]:
    """Parse a like or a dislike into the columns of `NamedPlays`."""
    feedback, reason = json_rows.parse_object(text)
    score, (at_us, problem) = feedback.get("score"), _read_time("created", feedback.get("created"))
    action = FEEDBACK_ACTIONS.get(score) if isinstance(score, int) else None
    if action is None:
        reason = reason or f"score {json_rows.to_text(score)[:80]} is neither 1 nor -1"
    message = _clean_text(feedback.get("recording_msid"))
    track = _clean_text(feedback.get("recording_mbid"))
    recording = {"track": track} if track else (recordings or {}).get(message or "", {})
    return {"user": user, "at_us": at_us, "action": action, "reason": reason or problem} | recording


def _object(row: dict[str, Any], key: str) -> dict[str, Any]:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _clean_text(value: Any) -> str | None:
    """Stripped text of a string or an integer; None for other types and for empty text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _read_time(key: str, seconds: Any) -> tuple[int | None, str | None]:
    """The time in microseconds since 1970, or the reason why a value of `key` is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not abs(seconds) < MAX_EPOCH_S:
        return None, f"{key} {json_rows.to_text(seconds)[:80]} is not a number of seconds since 1970"
    return round(seconds * 1_000_000), None


def _export_folder(member: Member) -> tuple[str, ...]:
    """Folder of the export that contains a file."""
    return member.parts[:-1] if member.file in (USER_FILE, FEEDBACK_FILE) else member.parts[:-3]


def _read_user_id(member: Member, context: ReadContext) -> str | None:
    row, _ = json_rows.parse_object(member.read(context.report_progress).decode("utf-8-sig", "replace"))
    return _clean_text(row.get("user_id"))


READER = Reader(select_files=_select_files, read=_read, period="month", split="global_time")
