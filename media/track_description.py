"""Description of the media of a simulated track: all that rendering reads, and the file that holds it.

Catalogs may hide facets and names; the descriptions have them, so that the media carry them. Equal descriptions give
equal media.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FOLDER = "media"
"""Folder of the descriptions, and first part of media paths, in the folder of a simulation."""
FILE = "descriptions.parquet"
SCHEMA = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("recording", "artist", "album", "title")),
        *(pa.field(name, pa.string(), nullable=False) for name in ("language", "style")),
        pa.field("emotions", pa.list_(pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True)
class TrackDescription:
    """Latent facets of one track."""

    seed: int  # of the simulation
    recording: str  # determines the melody
    artist: str  # determines timbre, motif and emblem
    album: str  # determines the arrangement of the cover
    title: str  # lettering of the cover
    language: str  # determines the vowels of the voice and the script of the lettering
    style: str  # one of STYLES in `style_table.py`
    emotions: tuple[str, ...]  # of EMOTIONS in `style_table.py`

    def generator(self, purpose: str, key: str) -> np.random.Generator:
        """A generator of random numbers that depends on the seed, the purpose and the key alone."""
        digest = hashlib.blake2b(f"{self.seed}\0{purpose}\0{key}".encode(), digest_size=16).digest()
        return np.random.default_rng(int.from_bytes(digest, "little"))

    def digest(self) -> str:
        """Hash of the description, 32 hexadecimal digits."""
        return hashlib.blake2b(repr(self).encode(), digest_size=16).hexdigest()


class DamagedDescriptions(ValueError):
    """The descriptions of a simulation cannot be read; the message names their file."""


class Descriptions:
    """The descriptions of the tracks of one simulation. They stay in columns: a catalog may have millions of tracks."""

    def __init__(self, simulation: Path) -> None:
        """Read the descriptions in the folder of a simulation.

        Raises:
            DamagedDescriptions: Their file cannot be read.
        """
        file = simulation / FOLDER / FILE
        try:
            self._table = pq.ParquetFile(file).read().select(SCHEMA.names).cast(SCHEMA).combine_chunks()
        except (OSError, ValueError, KeyError) as error:
            raise DamagedDescriptions(f"{file} is damaged ({error}); simulate and land it again") from error

    def find(self, track_id: str) -> TrackDescription | None:
        """The description of a track; None if there is none."""
        row = pc.index(self._table["track_id"], track_id).as_py()
        if row < 0:
            return None
        (values,) = self._table.slice(row, 1).drop_columns("track_id").to_pylist()
        return TrackDescription(**values | {"emotions": tuple(values["emotions"])})


def preview_path(track_id: str) -> str:
    """Path of a preview, relative to the folder of the simulation."""
    return f"{FOLDER}/preview/{track_id}.ogg"


def cover_path(track_id: str) -> str:
    """Path of a cover, relative to the folder of the simulation."""
    return f"{FOLDER}/cover/{track_id}.jpg"


def description_time(simulation: Path) -> int | None:
    """Modification time, in ns, of the descriptions in a folder; None if it has none, so that nothing can be rendered."""
    try:
        return (simulation / FOLDER / FILE).stat().st_mtime_ns
    except OSError:
        return None


def write_descriptions(descriptions: dict[str, TrackDescription], simulation: Path) -> None:
    """Write the descriptions of tracks, by track id, to the folder of a simulation."""
    (simulation / FOLDER).mkdir(parents=True, exist_ok=True)
    rows = [{"track_id": track_id} | asdict(description) for track_id, description in descriptions.items()]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), simulation / FOLDER / FILE, compression="zstd")
