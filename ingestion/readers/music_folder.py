"""A folder of MP3, FLAC, Ogg, Opus and M4A files: tracks, artists, albums, covers and playlists, without events.

Ids: a track is its encoded audio (`parsing/audio_file.py`), so moving a file or editing its tags lands a new row of the
same track. An artist is the normalized name, an album the normalized title and album artist, a playlist its file name.
Covers are extracted to `SEGUE_HOME/media`; without one in the file, `cover.jpg` (folder, front) beside it is used.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pyarrow as pa

from ingestion import landed_tables
from ingestion.readers.own_events import contract_table
from ingestion.readers.parsing import audio_file, column_mapping, playlist_file
from ingestion.readers.parsing.audio_file import AudioFile, AudioFileError, read_audio_file
from ingestion.readers.parsing.audio_tags import AudioTags
from ingestion.readers.parsing.named_plays import name_id
from ingestion.readers.parsing.playlist_file import PlaylistError, parse_playlist
from ingestion.readers.parsing.reader import MediaFolders, ReadContext, Reader, Rows
from ingestion.source_files import Member, SourceError
from storage import media_paths

MAX_FILES = 200_000
BATCH_ROWS = 5_000
COVER_FILES = re.compile(r"(cover|folder|front|album|albumart)\.(jpe?g|png|webp)", re.IGNORECASE)
VARIOUS_ARTISTS = "Various Artists"
NOT_UTF8 = re.compile(r"\\udc[89a-f][0-9a-f]")  # as `source_files.printable_name` writes such a byte

Row = dict[str, Any]


def _select_files(files: list[Member]) -> list[Member]:
    """Audio files, playlists and covers; none if the source names its tracks itself, in the contract or by a mapping."""
    if any(member.file == column_mapping.MAPPING_FILE or contract_table(member) == "tracks" for member in files):
        return []
    files = [member for member in files if not member.is_zipped]  # files in a zip could not be read later
    if not any(_has_extension(member, audio_file.FORMATS) for member in files):
        return []
    return [
        member
        for member in files
        if _has_extension(member, audio_file.FORMATS)
        or _has_extension(member, playlist_file.EXTENSIONS)
        or COVER_FILES.fullmatch(member.file)
    ]


def _has_extension(member: Member, extensions: Container[str]) -> bool:
    return posixpath.splitext(member.file)[1].lower() in extensions


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    audio = [member for member in files if _has_extension(member, audio_file.FORMATS)]
    if len(audio) > MAX_FILES:
        raise SourceError(f"{context.source_name} has {len(audio):,} audio files; land at most {MAX_FILES:,} at once")
    collection = _Collection(files, context.media)
    rejected: list[Row] = []
    for member in audio:
        try:
            collection.add(member)
        except AudioFileError as error:
            rejected.append(_reject(member, str(error)))
        context.report_progress(member.size)
    yield from _rows("tracks", rejected)
    yield Rows("tracks", pl.DataFrame(), duplicate=collection.duplicates)
    for table, rows in collection.tables().items():
        yield from _rows(table, rows)
    for member in (one for one in files if _has_extension(one, playlist_file.EXTENSIONS)):
        yield from _rows("playlists", [collection.playlist(member)])
        context.report_progress(member.size)


def _rows(table: str, rows: list[Row]) -> Iterator[Rows]:
    schema = landed_tables.source_schema(table)
    additional = {"source_file": pa.string(), "source_line": pa.int64(), "reason": pa.string(), "raw": pa.string()}
    fields = [field.with_nullable(True) for field in schema] + [pa.field(*item) for item in additional.items()]
    for start in range(0, len(rows), BATCH_ROWS):
        yield Rows(table, pl.DataFrame(pa.Table.from_pylist(rows[start : start + BATCH_ROWS], pa.schema(fields))))


def _reject(member: Member, reason: str) -> Row:
    return _located(member) | {"reason": reason, "raw": member.name}


def _located(member: Member) -> Row:
    return {"source_file": member.name, "source_line": 1}


class _Collection:
    """The tracks of a folder. Albums are known when all files have been read."""

    def __init__(self, files: Iterable[Member], media: MediaFolders) -> None:
        self.duplicates = 0  # files with the audio of an earlier one
        self._media = media
        self._prefix = _path_below_root(media)
        self._tracks: dict[str, tuple[Member, AudioFile, str | None]] = {}  # with the path of the cover
        self._id_of_path: dict[str, str] = {}
        self._playlist_ids: set[str] = set()
        self._cover_of_folder: dict[str, str] = {}
        for member in files:
            if COVER_FILES.fullmatch(member.file) and not member.is_outside:
                self._cover_of_folder.setdefault(posixpath.dirname(member.name), member.name)

    def add(self, member: Member) -> None:
        """Read a file.

        Raises:
            AudioFileError: It is not a track.
        """
        if NOT_UTF8.search(member.name):
            raise AudioFileError("the name of the file or a folder is not UTF-8; rename it")
        if member.is_outside:
            raise AudioFileError(
                "a symbolic link out of the folder, which is not followed; copy the file into the folder"
            )
        read = read_audio_file(member.name, member.size, member.opener)
        self._id_of_path[unicodedata.normalize("NFC", member.name)] = read.audio_id
        if read.audio_id in self._tracks:
            self.duplicates += 1
            return
        without_cover = replace(read.tags, cover=b"")  # the images of a collection do not fit into memory
        cover_path = self._find_cover(member, read.tags)
        self._tracks[read.audio_id] = member, replace(read, tags=without_cover), cover_path

    def tables(self) -> dict[str, list[Row]]:
        """Rows of tracks, artists and albums."""
        artist_of_album = self._find_album_artists()
        tracks: list[Row] = []
        artists: dict[str, Row] = {}
        albums: dict[str, Row] = {}
        for track_id, (member, read, cover_path) in self._tracks.items():
            tags, place = read.tags, _located(member)
            for name in (*tags.artists, *artist_of_album.get(_album_key(member, tags), ())):
                artists.setdefault(name_id(name), {"artist_id": name_id(name), "name": name} | place)
            album = self._album(member, tags, artist_of_album)
            if album is not None:
                known = albums.setdefault(album["album_id"], album | place)
                dates = [row["released_on"] for row in (known, album) if row["released_on"]]
                known["released_on"] = min(dates, default=None)
            tracks.append(
                {
                    "track_id": track_id,
                    "recording_id": tags.musicbrainz_recording or tags.isrc or None,
                    "title": tags.title or posixpath.splitext(member.file)[0],
                    "artist_ids": [name_id(name) for name in tags.artists],
                    "album_id": album and album["album_id"],
                    "duration_ms": read.duration_ms,
                    "released_on": tags.released_on,
                    "language": tags.language or None,
                    "styles": list(tags.genres),
                    "emotions": list(tags.moods),
                    "lyrics": tags.lyrics or None,
                    "audio_path": self._prefix + member.name,
                    "cover_path": cover_path,
                }
                | place
            )
        return {"tracks": tracks, "artists": list(artists.values()), "albums": list(albums.values())}

    def playlist(self, member: Member) -> Row:
        """Row of a playlist; entries that are not tracks of the folder are left out."""
        try:
            if member.is_outside:
                raise PlaylistError("a symbolic link out of the folder, which is not followed")
            title, paths = parse_playlist(member.name, _read_start(member), self._media.source)
            paths = [unicodedata.normalize("NFC", path) for path in paths]
            track_ids = [self._id_of_path[path] for path in paths if path in self._id_of_path]
            if not track_ids:
                raise PlaylistError(f"none of its {len(paths)} tracks is a readable file of this folder")
        except PlaylistError as error:
            return _reject(member, str(error))
        stem = posixpath.splitext(member.file)[0]
        playlist_id = name_id("playlist", stem)
        if playlist_id in self._playlist_ids:
            playlist_id = name_id("playlist", member.name)
        self._playlist_ids.add(playlist_id)
        row = {"playlist_id": playlist_id, "title": title, "source": "ugc", "track_ids": track_ids}
        return row | _located(member)

    def _find_cover(self, member: Member, tags: AudioTags) -> str | None:
        if tags.cover:
            return media_paths.store_cover(self._media.home, tags.cover, tags.cover_extension)
        beside = self._cover_of_folder.get(posixpath.dirname(member.name))
        return None if beside is None else self._prefix + beside

    def _find_album_artists(self) -> dict[tuple[str, str, tuple[str, ...]], tuple[str, ...]]:
        """Artists of each album of a folder: as tagged, else the artist of all its tracks, else VARIOUS_ARTISTS."""
        artists_of_album: dict[tuple[str, str, tuple[str, ...]], set[tuple[str, ...]]] = defaultdict(set)
        compilations = set()
        for member, read, _ in self._tracks.values():
            if read.tags.album:
                key = _album_key(member, read.tags)
                artists_of_album[key].add(read.tags.artists[:1])
                if read.tags.is_compilation:
                    compilations.add(key)
        return {
            key: key[2] or ((VARIOUS_ARTISTS,) if len(artists) > 1 or key in compilations else next(iter(artists)))
            for key, artists in artists_of_album.items()
        }

    def _album(self, member: Member, tags: AudioTags, artist_of_album: dict[Any, tuple[str, ...]]) -> Row | None:
        if not tags.album:
            return None
        artists = artist_of_album[_album_key(member, tags)]
        return {
            "album_id": name_id("album", tags.album, *artists),
            "title": tags.album,
            "artist_ids": [name_id(name) for name in artists],
            "released_on": tags.released_on,
        }


def _album_key(member: Member, tags: AudioTags) -> tuple[str, str, tuple[str, ...]]:
    return posixpath.dirname(member.name), tags.album.casefold(), tags.album_artists


def _path_below_root(media: MediaFolders) -> str:
    """Prefix of paths relative to the source: landing adds the source's id, or they are below the media root."""
    if media.media_root is None:
        return ""
    source, root = media.source.resolve(), media.media_root.resolve()
    if not source.is_relative_to(root):
        raise SourceError(f"{source} is not below SEGUE_MEDIA_ROOT={root}; land a folder below it, or unset it")
    relative = source.relative_to(root).as_posix()
    return "" if relative == "." else f"{relative}/"


def _read_start(member: Member) -> bytes:
    try:
        with member.opener() as file:
            return file.read(playlist_file.MAX_PLAYLIST_BYTES + 1)
    except OSError as error:
        raise PlaylistError(f"the file cannot be read: {error.strerror}") from error


READER = Reader(select_files=_select_files, read=_read, period="month", split=None)
