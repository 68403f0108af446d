"""Which event ids have landed: what a landing asks of every partition that it writes, however many files it has.

A file is read once. Of each id a hash and the number of its file are kept (12 bytes), in a few sorted runs that double, so that
a question costs its own ids and not those that have landed. A run that has grown lies on the disk and is read when a question
is put, so that memory does not grow with what has landed. An id whose hash is there is looked for in the very files that have
the hash: nothing is taken for landed that is not. Knows nothing about tables or partitions.
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
"""A run of so many ids goes to the disk: 24 MB."""


@dataclass(frozen=True)
class _SortedRun:
    """Hashes in order, and the number of the file of each."""

    hashes: NDArray[np.uint64]
    files: NDArray[np.uint32]

    def merge(self, other: _SortedRun) -> _SortedRun:
        """Both as one."""
        hashes = np.concatenate([self.hashes, other.hashes])
        order = np.argsort(hashes, kind="stable")
        return _SortedRun(hashes[order], np.concatenate([self.files, other.files])[order])

    def find(self, asked: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
        """Which of the hashes (in order) are here, and the files that have them."""
        first = np.searchsorted(self.hashes, asked, side="left")
        counts = np.searchsorted(self.hashes, asked, side="right") - first
        places = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return counts > 0, np.unique(self.files[places])


@dataclass(frozen=True)
class _SpilledRun:
    """A run on the disk, which takes memory while it is asked and no longer."""

    path: Path

    def find(self, asked: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
        """What the run finds."""
        with self.path.open("rb") as file:
            return _SortedRun(np.load(file), np.load(file)).find(asked)


class EventIdIndex:
    """The event ids of files that only become more; runs that grow large lie in `folder` (None: all stay in memory)."""

    def __init__(self, folder: Path | None = None) -> None:
        self._files: list[Path] = []
        self._runs: list[_SortedRun] = []
        self._spilled: list[_SpilledRun] = []
        self._folder = folder

    def __len__(self) -> int:
        """How many ids are in memory."""
        return sum(len(run.hashes) for run in self._runs)

    def spill(self) -> None:
        """Nothing of it stays in memory, if there is a folder for it."""
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
        """Which of `ids` are in one of `files`, all files of the calls before among them."""
        for file in sorted(set(files) - set(self._files)):
            self._add(file)
        hashes = _hashes(ids)
        order = np.argsort(hashes)
        found, holding = np.zeros(len(ids), np.bool_), set[int]()
        runs: list[_SortedRun | _SpilledRun] = [*self._runs, *self._spilled]
        for run in runs:
            here, files_of_run = run.find(hashes[order])
            found |= here
            holding.update(files_of_run.tolist())
        if not holding:
            return pl.repeat(False, len(ids), eager=True)
        is_likely = np.zeros(len(ids), np.bool_)
        is_likely[order] = found
        known = pl.concat([_event_ids(self._files[number]) for number in sorted(holding)])
        return pl.Series(is_likely) & ids.is_in(known.implode())

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
