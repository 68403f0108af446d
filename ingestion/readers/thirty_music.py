"""30Music (Turrin et al., "30Music listening and playlists dataset", RecSys 2015): 31 million plays from Last.fm.

Get `ThirtyMusic.tar.gz` from recsys.deib.polimi.it/datasets, unpack it and land the folder, or some of its files:
`relations/events.idomaar` (plays), `relations/love.idomaar` (likes), `entities/tracks.idomaar`, `persons`, `albums`,
`playlist`. A line is `type, id, timestamp` (seconds since 1970, UTC; -1: none) and two JSON objects, the properties and
the links; they are separated by tabs or, in some files, by spaces. A play has `playtime` in seconds (-1 or 0: unknown),
`subjects` (the user) and `objects` (the track).

Differences from the data: a timestamp is the start of a play, as in Last.fm, and `NamedPlays` derives unknown
durations. Titles and names are URL-encoded (`Say+%22Hi%22`) and are decoded; the title of a track is taken from
`ARTIST/_/TITLE`. Sessions (dbt derives its own), tags and user attributes are not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

from ingestion.readers.parsing import json_rows
from ingestion.readers.parsing.json_rows import Block
from ingestion.readers.parsing.named_plays import MAX_EPOCH_S, NamedPlays
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member

FILE_SUFFIXES = (".idomaar", ".idomaar.gz")
LINE_PATTERN = re.compile(r"([^\t]+)\t([^\t]+)\t(-?\d+)\s+(?=\{)")
DECODE_JSON = json.JSONDecoder().raw_decode
MAX_DIGITS = 20
Line = tuple[str, int, dict[str, Any], dict[str, Any]]
"""Id, timestamp in seconds, properties, links."""


def _select_files(files: list[Member]) -> list[Member]:
    return [
        member
        for member in files
        if member.file.endswith(FILE_SUFFIXES) and _name(member) in (*ACTIONS, *CATALOG_TABLES)
    ]


def _name(member: Member) -> str:
    return member.file.split(".")[0]


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    with closing(NamedPlays(context.scratch, "begin", context.latest)) as plays:
        for member in files:
            for block in json_rows.read_file(member, context.report_progress):
                if action := ACTIONS.get(_name(member)):
                    yield from plays.add_lines(block, member.name, partial(_event, action))
                else:
                    yield _entities(block, member)
        yield from plays.events()
        if not any(_name(member) == "tracks" for member in files):
            yield from plays.catalog()


def parse_line(text: str) -> tuple[Line, str | None]:
    """Split a line into its parts; if that fails, return empty parts and the reason."""
    empty: Line = ("", -1, {}, {})
    match = LINE_PATTERN.match(text)
    if match is None:
        return empty, "the line is not type, id, timestamp and properties"
    if len(match[3]) > MAX_DIGITS:
        return empty, f"timestamp {match[3][:MAX_DIGITS]}... is out of range"
    try:
        properties, end = DECODE_JSON(text, match.end())
        rest = text[end:].strip()
        links = json.loads(rest) if rest else {}
    except (ValueError, RecursionError):
        return empty, "properties or links are not JSON"
    if not isinstance(properties, dict) or not isinstance(links, dict):
        return empty, "properties or links are not a JSON object"
    if "\\u" in text and json_rows.has_unpaired_surrogate([properties, links]):
        return empty, json_rows.NOT_UNICODE
    return (match[2], int(match[3]), properties, links), None


def _ids(links: dict[str, Any], key: str) -> list[str]:
    """Ids of linked objects. Some lists of the dataset are null or contain empty lists."""
    value = links.get(key)
    linked = value if isinstance(value, list) else []
    ids = (item.get("id") for item in linked if isinstance(item, dict))
    return [str(one) for one in ids if isinstance(one, str | int | float)]


def _event(action: str, text: str) -> dict[str, Any]:
    """Parse a play or a like into the columns of `NamedPlays`."""
    (_, timestamp, properties, links), reason = parse_line(text)
    seconds = properties.get("playtime")
    return {
        "user": next(iter(_ids(links, "subjects")), None),
        "at_us": timestamp * 1_000_000 if abs(timestamp) < MAX_EPOCH_S else None,
        "track": next(iter(_ids(links, "objects")), None),
        "action": action,
        "played_ms": round(seconds * 1000) if isinstance(seconds, int | float) and 0 < seconds < MAX_EPOCH_S else None,
        "reason": reason or (None if timestamp > 0 else f"timestamp {timestamp} is not positive"),
    }


def _entities(block: Block, member: Member) -> Rows:
    table, row_of = CATALOG_TABLES[_name(member)]
    parsed = (parse_line(text) for _, text in block)
    return json_rows.to_rows(table, block, ((row_of(line), reason) for line, reason in parsed), member.name)


def _decode_text(text: Any) -> str | None:
    """Decode URL-encoded text; text with spaces is not encoded."""
    if not isinstance(text, str):
        return None
    plain = text if " " in text else unquote_plus(text, errors="replace")
    return plain.strip() or None


def _track(line: Line) -> dict[str, Any]:
    track, _, properties, links = line
    name, length = properties.get("name"), properties.get("duration")
    return {
        "track_id": track,
        "title": _decode_text(name.split("/_/", 1)[-1] if isinstance(name, str) else None),
        "artist_ids": _ids(links, "artists"),
        "album_id": next(iter(_ids(links, "albums")), None),
        "duration_ms": length if isinstance(length, int) and length > 0 else None,
    }


def _artist(line: Line) -> dict[str, Any]:
    return {"artist_id": line[0], "name": _decode_text(line[2].get("name"))}


def _album(line: Line) -> dict[str, Any]:
    return {"album_id": line[0], "title": _decode_text(line[2].get("title")), "artist_ids": _ids(line[3], "artists")}


def _playlist(line: Line) -> dict[str, Any]:
    title = line[2].get("Title", line[2].get("title"))
    tracks = _ids(line[3], "objects")
    return {"playlist_id": line[0], "title": _decode_text(title), "source": "ugc", "track_ids": tracks}


ACTIONS = {"events": "play", "love": "like"}
CATALOG_TABLES: dict[str, tuple[str, Callable[[Line], dict[str, Any]]]] = {
    "tracks": ("tracks", _track),
    "persons": ("artists", _artist),
    "albums": ("albums", _album),
    "playlist": ("playlists", _playlist),
}
READER = Reader(select_files=_select_files, read=_read, period="month", split="global_time")
