"""What an encoder encodes of each track of the mart: an audio file, a cover, or the texts.

The contents of tracks are read in blocks, so memory does not grow with the catalog. Comments are those from before
validation in both fits, as a text has one vector and a held-out fit must not see later ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from content import FACETS
from content.encoders.encoder import MediaError, open_media
from content.encoders.text import MAX_COMMENTS, MAX_TAGS, TrackText
from content.track_content import read_comments
from content.vector_cache import FileState, KnownFile, VectorCache
from storage.media_paths import MediaPathError, MediaPaths, MediaRootError

PATH_COLUMNS = {"audio": "audio_path", "image": "cover_path"}
BLOCK_TRACKS = 1_000
BLOCK_FILES = 100  # fewer, because the media of simulations are rendered into a cache that holds about 800
READ_BYTES = 1 << 20
MAX_FILE_BYTES = 32 << 30  # 3 hours of the largest WAV files are 17 GB; a sparse file of terabytes takes hours to read
MISSING: FileState = (-1, -1)


@dataclass(frozen=True)
class ContentSource:
    """The source of one track."""

    track_id: str
    content_hash: str | None  # None: not known, or cannot be encoded
    text: TrackText | None = None
    path: str = ""  # landed path of a media file
    state: FileState = MISSING  # of the file when its hash was read
    is_unread: bool = False  # a media file that has not been read yet


def open_sources(encoder: str, marts: Path, paths: MediaPaths, cache: VectorCache) -> ContentSources:
    """The sources of an encoder.

    Args:
        encoder: Name of the encoder.
        marts: Folder of the marts.
        paths: Finds media files.
        cache: Remembers hashes and rejections of files.
    """
    if encoder in PATH_COLUMNS:
        return MediaSources(marts, PATH_COLUMNS[encoder], paths, cache)
    return TextSources(marts)


def count_sources(encoder: str, marts: Path) -> int:
    """Number of tracks with a source, without opening the encoder's cache."""
    column = PATH_COLUMNS.get(encoder, "track_id")
    return int(pl.scan_parquet(marts / "tracks.parquet").select(pl.col(column).count()).collect().item())


class MediaSources:
    """Media files that a column of the mart names.

    Attributes:
        unavailable: Why media folders could not be read, with the number of tracks.
    """

    def __init__(self, marts: Path, column: str, paths: MediaPaths, cache: VectorCache) -> None:
        self._paths, self._cache = paths, cache
        tracks = pl.scan_parquet(marts / "tracks.parquet").select("track_id", path=column)
        self._tracks = _most_played_first(tracks.filter(pl.col("path").is_not_null()).collect(), marts)
        self.unavailable: dict[str, int] = {}

    def __len__(self) -> int:
        """Number of tracks with a source."""
        return len(self._tracks)

    def blocks(self, reads_files: bool) -> Iterator[list[ContentSource]]:
        """Sources in blocks, the most played tracks first.

        Args:
            reads_files: Read files that are new or have changed; else their hash is the last known one.
        """
        for rows in self._tracks.iter_slices(BLOCK_FILES):
            known = self._cache.known_files(rows["path"])
            if reads_files:
                yield [self._read(track_id, path, known) for track_id, path in rows.iter_rows()]
            else:
                yield [
                    ContentSource(track_id, known[path][1], path=path)
                    if path in known
                    else ContentSource(track_id, None, path=path, is_unread=True)
                    for track_id, path in rows.iter_rows()
                ]

    def _read(self, track_id: str, path: str, known: dict[str, KnownFile]) -> ContentSource:
        try:
            state = self._paths.state(path)
        except MediaRootError as error:
            self.unavailable[str(error)] = self.unavailable.get(str(error), 0) + 1
            return ContentSource(track_id, None, path=path)
        except MediaPathError as error:
            self._cache.add_file(path, MISSING, None, str(error))
            return ContentSource(track_id, None, path=path)
        if path not in known or known[path][0] != state:
            content_hash, reason = None, None
            try:
                content_hash = hash_file(self._paths.resolve(path))
            except MediaError as error:
                reason = error.reason
            self._cache.add_file(path, state, content_hash, reason)
            known[path] = state, content_hash
        return ContentSource(track_id, known[path][1], path=path, state=state)

    def open(self, source: ContentSource) -> Path:
        """Argument of `Encoder.load` for a source with a hash; the file of a simulation is rendered now.

        Raises:
            MediaError: the file has been moved since its hash was read.
        """
        try:
            return self._paths.resolve(source.path)
        except (MediaPathError, MediaRootError) as error:
            raise MediaError(Path(source.path), str(error)) from error


class TextSources:
    """Title, artist, lyrics, comments and facets of every track."""

    def __init__(self, marts: Path) -> None:
        tracks = pl.scan_parquet(marts / "tracks.parquet")
        names = tracks.collect_schema().names()
        columns = [name for name in ("title", "artist_names", "lyrics", *FACETS) if name in names]
        comments = read_comments(marts, before_validation=True)
        newest = comments.sort("occurred_at", "text", descending=True, nulls_last=True).group_by("track_id")
        newest_texts = newest.agg(comments=pl.col("text").head(MAX_COMMENTS))
        rows = tracks.select("track_id", *columns).collect().join(newest_texts, on="track_id", how="left")
        self._tracks = _most_played_first(rows, marts)
        self.unavailable: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._tracks)

    def blocks(self, reads_files: bool) -> Iterator[list[ContentSource]]:  # noqa: ARG002 - texts are in the mart
        """See `MediaSources`."""
        for rows in self._tracks.iter_slices(BLOCK_TRACKS):
            yield [_text_source(row) for row in rows.iter_rows(named=True)]

    def open(self, source: ContentSource) -> TrackText:
        """Argument of `Encoder.load`."""
        return source.text or TrackText()


ContentSources = MediaSources | TextSources
"""The sources of all tracks that have one."""


def _text_source(row: dict[str, object]) -> ContentSource:
    text, track_id = _track_text(row), str(row["track_id"])
    return ContentSource(track_id, None) if text == TrackText() else ContentSource(track_id, hash_text(text), text)


def _track_text(row: dict[str, object]) -> TrackText:
    def texts(column: str) -> list[str]:
        values = row.get(column)
        return [str(value) for value in values if value] if isinstance(values, list) else []

    tags = [value for facet in FACETS for value in texts(facet)]
    title, lyrics = (str(row.get(name) or "") for name in ("title", "lyrics"))
    return TrackText(title, ", ".join(texts("artist_names")), lyrics, tuple(texts("comments")), tuple(tags[:MAX_TAGS]))


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        MediaError: the file is missing, empty, too large or cannot be read.
    """
    content = hashlib.sha256()
    with open_media(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE_BYTES:
            raise MediaError(path, f"{size} bytes; media files have at most {MAX_FILE_BYTES}")
        while block := file.read(READ_BYTES):
            content.update(block)
    return content.hexdigest()


def hash_text(text: TrackText) -> str:
    """SHA-256 of all texts of a track."""
    fields = [text.title, text.artist, text.lyrics, list(text.comments), list(text.tags)]
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


def _most_played_first(tracks: pl.DataFrame, marts: Path) -> pl.DataFrame:
    plays = pl.scan_parquet(marts / "plays.parquet").group_by("track_id").len("plays").collect(engine="streaming")
    counted = tracks.join(plays, on="track_id", how="left").with_columns(pl.col("plays").fill_null(0))
    return counted.sort("plays", "track_id", descending=[True, False]).drop("plays")
