"""The library of a music server with the Subsonic API: tracks, artists and albums, without events.

`*.subsonic` files have a song of the API per line, with the `album_artist` (`storage/music_server.py` writes them). A track has
the server's id, so that lists can be written into the server. As in a music folder, an artist is the normalized name, an album the
normalized title and album artist.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingestion.readers.parsing import json_rows
from ingestion.readers.parsing.audio_tags import split_values
from ingestion.readers.parsing.named_plays import name_id
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member

SUFFIX = ".subsonic"
NAMED_TABLES = {"artists": "artist_id", "albums": "album_id"}
"""Table → key of rows that several songs name."""

Row = dict[str, Any]


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if member.file.endswith(SUFFIX)]


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    for member in files:
        for block in json_rows.read_file(member, context.report_progress):
            parsed = [json_rows.parse_object(text) for _, text in block]
            found = [_rows_of(song) for song, _ in parsed]
            tracks = [(rows["tracks"][0], reason) for rows, (_, reason) in zip(found, parsed, strict=True)]
            yield json_rows.to_rows("tracks", block, tracks, member.name)
            for table, key in NAMED_TABLES.items():
                named = {row[key]: (line, row) for line, rows in zip(block, found, strict=True) for row in rows[table]}
                if named:
                    lines, rows = zip(*named.values(), strict=True)
                    yield json_rows.to_rows(table, list(lines), [(row, None) for row in rows], member.name)


def _rows_of(song: Row) -> dict[str, list[Row]]:
    """Rows of the track, of its artists and of its album, if it has one."""
    artists = _texts(song.get("artists")) or _texts([song.get("artist")])
    of_album = _texts([song.get("album_artist")]) or artists[:1]
    albums = [
        {"album_id": name_id("album", title, *of_album), "title": title, "artist_ids": list(map(name_id, of_album))}
        for title in _texts([song.get("album")])
    ]
    recordings = [*_texts([song.get("musicBrainzId")]), *_texts(song.get("isrc"))]
    seconds, year = song.get("duration"), song.get("year")
    track = {
        "track_id": song.get("id"),
        "recording_id": next(iter(recordings), None),
        "title": song.get("title"),
        "artist_ids": list(map(name_id, artists)),
        "album_id": albums[0]["album_id"] if albums else None,
        "duration_ms": seconds * 1000 if isinstance(seconds, int) and seconds > 0 else None,
        "released_on": f"{year:04}-01-01" if isinstance(year, int) and 0 < year < 10_000 else None,
        "styles": list(split_values(_texts(song.get("genres")) or _texts([song.get("genre")]))),
        "emotions": list(split_values(_texts(song.get("moods")))),
    }
    named = [{"artist_id": name_id(name), "name": name} for name in dict.fromkeys([*artists, *of_album])]
    return {"tracks": [track], "artists": named, "albums": albums}


def _texts(values: Any) -> list[str]:
    """The texts in a list of texts, or of objects with a name, that are not empty."""
    names = [one.get("name") if isinstance(one, dict) else one for one in (values if isinstance(values, list) else [])]
    return [name.strip() for name in names if isinstance(name, str) and name.strip()]


READER = Reader(select_files=_select_files, read=_read, period="month", split=None)
