"""A home with marts of tracks that have media, and an encoder that counts instead of computing."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from config.settings import Settings, load_settings
from content.encoders.encoder import Embeddings, Encoder, MediaError
from storage.media_paths import register_root
from training import encode_content as encode_module

DIMENSION = 4


class FakeEncoder(Encoder[Path, bytes]):
    """Vector of the first bytes of a file; a file that begins with `bad` is broken, `kill` kills the process."""

    name, dimension, version = "image", DIMENSION, "fake.1"
    may_kill = False  # set in a process of its own
    loaded: list[str] = []  # noqa: RUF012 - of all instances

    def load(self, source: Path) -> bytes:
        self.loaded.append(source.name)
        content = source.read_bytes()
        if content.startswith(b"bad"):
            raise MediaError(source, "a bad file")
        if content.startswith(b"kill"):
            assert self.may_kill, "this file must not be decoded"
            os.kill(os.getpid(), signal.SIGKILL)
        return content

    def encode(self, batch: Sequence[bytes]) -> Embeddings:
        return np.array([list(content[:DIMENSION].ljust(DIMENSION)) for content in batch], dtype=np.float32)


class ContentHome:
    """Marts, media files and settings; encodes covers with FakeEncoder."""

    def __init__(self, folder: Path) -> None:
        self.home, self.media = folder / "home", folder / "media"
        self.media.mkdir(parents=True)
        self.prefix = register_root(self.home / "media", self.media)
        pl.DataFrame({"split": ["user_time"]}).write_parquet(self.home / "marts" / "time_split.parquet", mkdir=True)
        pl.DataFrame(schema={"track_id": pl.String}).write_parquet(self.home / "marts" / "plays.parquet")
        self.write_tracks({})

    def write(self, name: str, content: bytes) -> str:
        """Write a media file; return its landed path."""
        (self.media / name).write_bytes(content)
        return self.prefix + name

    def write_tracks(self, cover_of_track: dict[str, str | None], **columns: list[object]) -> None:
        """Write the mart `tracks`."""
        tracks = {"track_id": list(cover_of_track), "cover_path": list(cover_of_track.values()), **columns}
        overrides = {"track_id": pl.String, "cover_path": pl.String, "audio_path": pl.String}
        frame = pl.DataFrame(tracks, schema_overrides={name: overrides[name] for name in overrides if name in tracks})
        frame.write_parquet(self.home / "marts" / "tracks.parquet")

    @property
    def settings(self) -> Settings:
        """Settings with this home."""
        os.environ["SEGUE_HOME"] = str(self.home)
        return load_settings()

    def encode(self, limit: int | None = None) -> encode_module.EncodingCounts:
        """Encode covers; `FakeEncoder.loaded` are the files that this run decoded."""
        FakeEncoder.loaded = []
        return encode_module.encode(self.settings, "image", limit)

    def table(self, encoder: str = "image") -> pl.DataFrame:
        """The published table by track."""
        return pl.read_parquet(self.home / "marts" / f"track_content_{encoder}.parquet").sort("track_id")

    def quarantine(self) -> list[str]:
        """Lines of the list of files that cannot be encoded."""
        return (self.home / "content" / "image.quarantine.tsv").read_text().splitlines()[1:]
