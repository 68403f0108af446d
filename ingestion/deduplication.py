"""Index of landed event ids, used to deduplicate new events.

Each file is read once. For each id the index holds a hash and the number of its file (12 bytes) in a few sorted runs of
doubling size (as in a log-structured merge tree), so that the cost of a lookup depends on the number of queried ids,
not on the number of landed ones. Large runs are spilled to disk and loaded for each lookup, so that memory is bounded.
Ids whose hash is found are compared with the ids in the files, so hash collisions cause no false duplicates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage import object_store

SPILL_THRESHOLD_IDS = 2_000_000
"""Runs with this many ids (24 MB) are spilled to disk."""


@dataclass(frozen=True)
class _SortedRun:
    """Sorted id hashes with file numbers."""

    hashes: NDArray[np.uint64]  # ascending
    files: NDArray[np.uint32]  # number of the file of each hash

    def merge(self, other: _SortedRun) -> _SortedRun:
        """Merge two runs."""
        hashes = np.concatenate([self.hashes, other.hashes])
        order = np.argsort(hashes, kind="stable")
        return _SortedRun(hashes[order], np.concatenate([self.files, other.files])[order])

    def find(self, queries: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
        """Look up sorted hashes; return whether each is in the run, and the numbers of the files that have them."""
        first = np.searchsorted(self.hashes, queries, side="left")
        counts = np.searchsorted(self.hashes, queries, side="right") - first
        matches = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return counts > 0, np.unique(self.files[matches])


@dataclass(frozen=True)
class _SpilledRun:
    """A run on disk, loaded into memory only during a lookup."""

    path: Path

    def find(self, queries: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
        """See `_SortedRun.find`."""
        with self.path.open("rb") as file:
            return _SortedRun(np.load(file), np.load(file)).find(queries)


class EventIdIndex:
    """Index of the event ids of a growing set of files.

    Args:
        folder: Folder of spilled runs; None: all runs stay in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._files: list[Path] = []
        self._runs: list[_SortedRun] = []
        self._spilled: list[_SpilledRun] = []
        self._folder = folder

    def __len__(self) -> int:
        """Number of ids in memory."""
        return sum(len(run.hashes) for run in self._runs)

    def spill(self) -> None:
        """Move all runs from memory to disk; does nothing without a folder."""
        if not self._folder or not self._runs:
            return
        run = self._runs.pop()
        while self._runs:
            run = self._runs.pop().merge(run)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{len(self._spilled)}.run"
        with path.open("wb") as file:
            np.save(file, run.hashes)
            np.save(file, run.files)
        self._spilled.append(_SpilledRun(path))

    def contains(self, files: Iterable[Path], ids: pl.Series) -> pl.Series:
        """Whether each id is in one of `files`, which must include the files of earlier calls."""
        for file in sorted(set(files) - set(self._files)):
            self._add(file)
        hashes = _hashes(ids)
        order = np.argsort(hashes)
        has_hash, matching_files = np.zeros(len(ids), np.bool_), set[int]()
        runs: list[_SortedRun | _SpilledRun] = [*self._runs, *self._spilled]
        for run in runs:
            is_in_run, files_of_run = run.find(hashes[order])
            has_hash |= is_in_run
            matching_files.update(files_of_run.tolist())
        if not matching_files:
            return pl.repeat(False, len(ids), eager=True)
        is_likely = np.zeros(len(ids), np.bool_)
        is_likely[order] = has_hash
        landed_ids = pl.concat([_event_ids(self._files[number]) for number in sorted(matching_files)])
        return pl.Series(is_likely) & ids.is_in(landed_ids.implode())

    def _add(self, file: Path) -> None:
        hashes = _hashes(_event_ids(file))
        order = np.argsort(hashes)
        run = _SortedRun(hashes[order], np.full(len(hashes), len(self._files), np.uint32))
        self._files.append(file)
        while self._runs and len(self._runs[-1].hashes) <= 2 * len(run.hashes):
            run = self._runs.pop().merge(run)
        self._runs.append(run)
        if len(run.hashes) >= SPILL_THRESHOLD_IDS:
            self.spill()


def _hashes(ids: pl.Series) -> NDArray[np.uint64]:
    return ids.hash().to_numpy()


def _event_ids(file: Path) -> pl.Series:
    return pl.DataFrame(pq.read_table(object_store.open_arrow_source(file), columns=["event_id"], partitioning=None))[
        "event_id"
    ]
