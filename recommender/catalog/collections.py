"""Collections of tracks (playlists, mlogs): their contents and their popularity.

Legend: N collections, of which 0 is padding and 1 unknown, as for items. Times are int64 µs since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from recommender.catalog.arrays import Ragged
from sequences.sequence_batch import FIRST_CODE

COLLECTIONS_FILE, OPENINGS_FILE = "collections.parquet", "opened.npy"


@dataclass(frozen=True)
class Collections:
    """Collections of one kind that contain at least one track of the catalog."""

    kind: str  # `playlist` or `mlog`
    ids_N: np.ndarray
    titles_N: np.ndarray
    tracks: Ragged  # items of each collection that are in the catalog, in its order
    open_count_N: np.ndarray  # how often each was opened

    @classmethod
    def from_rows(
        cls, kind: str, rows: list[tuple[str, str, list[int]]], open_count_N: np.ndarray | None = None
    ) -> Self:
        """Collections from their ids, titles and items; without counts, none was opened."""
        offset = np.cumsum([0, 0, 0, *(len(items) for _, _, items in rows)], dtype=np.int64)
        return cls(
            kind,
            np.array(["", "", *(name for name, _, _ in rows)], dtype=object),
            np.array(["", "", *(title for _, title, _ in rows)], dtype=object),
            Ragged(np.array([item for _, _, items in rows for item in items], dtype=np.int64), offset),
            np.zeros(len(rows) + FIRST_CODE, dtype=np.int64) if open_count_N is None else open_count_N,
        )

    def __len__(self) -> int:
        """N, including the two reserved entries."""
        return len(self.ids_N)

    @cached_property
    def number_by_id(self) -> dict[str, int]:
        """Collection number by id."""
        return {name: number for number, name in enumerate(self.ids_N.tolist()) if number >= FIRST_CODE}

    @cached_property
    def popular_K(self) -> np.ndarray:
        """Numbers of all collections, most opened first."""
        order_N = np.argsort(-self.open_count_N, kind="stable")
        return order_N[order_N >= FIRST_CODE]

    @property
    def requires_all_tracks(self) -> bool:
        """Whether a collection is only shown if all its tracks may be played: a video needs them, a playlist does not."""
        return self.kind == "mlog"

    def save(self, folder: Path) -> None:
        """Write one Parquet file and one array into `folder`."""
        columns = {"id": self.ids_N[FIRST_CODE:].tolist(), "title": self.titles_N[FIRST_CODE:].tolist()}
        lists = [self.tracks[number].tolist() for number in range(FIRST_CODE, len(self))]
        texts = {"id": pl.String, "title": pl.String}
        frame = pl.DataFrame(columns | {"items": lists}, schema_overrides={**texts, "items": pl.List(pl.Int64)})
        frame.write_parquet(folder / COLLECTIONS_FILE)
        np.save(folder / OPENINGS_FILE, self.open_count_N, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, kind: str) -> Self:
        """Read the files that `save` wrote."""
        open_count_N = np.load(folder / OPENINGS_FILE, allow_pickle=False)
        return cls.from_rows(kind, list(pl.read_parquet(folder / COLLECTIONS_FILE).iter_rows()), open_count_N)
