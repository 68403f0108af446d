"""What kind of music each track is, as codes: its styles, each in its language (Cantonese pop), and its emotions.

Who loves a style in a language need not love either part. A track that names only one of the two is of that one. Shape
letters: V vocabulary, K values of a track, U values. Knows nothing about listeners.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.ragged import Ragged

STYLES, EMOTIONS = range(2)
GENRE_TYPES = 2
MAX_VALUES = 8
"""So many values of a track are kept."""
FILE = "track_kinds.parquet"

Facets = Mapping[str, tuple[list[str], Ragged]]


@dataclass(frozen=True)
class TrackGenres:
    """`value_VK` holds codes from 1, 0 where a track has no further value; value u is of the kind `kind_U[u]` (0: -1)."""

    value_VK: NDArray[np.int32]
    genre_type_U: NDArray[np.int8]

    @classmethod
    def build(cls, facets: Facets) -> TrackGenres | None:
        """From the facets of the V tracks (`TrainingData.facets`); None where no track has any of these."""
        languages, styles, emotions = (facets[name][1] for name in ("languages", "styles", "emotions"))
        code_of: dict[tuple[int, ...], int] = {}
        rows: list[list[int]] = []
        for track in range(len(languages.count_C)):
            spoken, played, felt = (of[track].tolist() for of in (languages, styles, emotions))
            values: list[tuple[int, ...]] = [(EMOTIONS, one) for one in felt]
            if spoken or played:
                values = [(STYLES, *pair) for pair in product(spoken or [-1], played or [-1])] + values
            rows.append([code_of.setdefault(value, len(code_of) + 1) for value in values[:MAX_VALUES]])
        if not code_of:
            return None
        value_VK = np.zeros((len(rows), max(map(len, rows))), dtype=np.int32)
        for track, codes in enumerate(rows):
            value_VK[track, : len(codes)] = codes
        return cls(value_VK, np.array([-1, *(value[0] for value in code_of)], dtype=np.int8))

    def save(self, folder: Path) -> None:
        """Write one Parquet file."""
        kind_VK = self.genre_type_U[self.value_VK]
        pl.DataFrame({"values": self.value_VK.tolist(), "kinds": kind_VK.tolist()}).write_parquet(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> TrackGenres | None:
        """What `save` wrote; None where there is nothing."""
        if not (folder / FILE).exists():
            return None
        rows = pl.read_parquet(folder / FILE)
        value_VK = np.array(rows["values"].to_list(), dtype=np.int32)
        kind_U = np.full(int(value_VK.max()) + 1, -1, dtype=np.int8)
        kind_U[value_VK] = np.array(rows["kinds"].to_list(), dtype=np.int8)
        return cls(value_VK, kind_U)
