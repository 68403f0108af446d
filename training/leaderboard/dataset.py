"""A data set of the leaderboard: its cells, and the cache of their results.

A cell is one fit: a model with one seed, or baselines that are tuned together. It gives a table for each row of the
page. The results of a cell are cached in a folder named by the hash of its inputs; a killed leaderboard continues with the
first unfinished cell. As for ablations, the code is not part of the hash: remove the folder to measure again.
"""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from training.engine.workspace import is_unchanged, mark_done, write_json
from training.evaluation.metrics.bootstrap import Estimate

MEASURES = "measures.json"

Tables = Mapping[str, pl.DataFrame]
"""Row of the page → values of its cases; which columns they have depends on the data set."""


@dataclass(frozen=True)
class Cell:
    """One fit."""

    name: str  # in names of folders
    is_baseline: bool
    is_random: bool  # whether the result depends on the seed


@dataclass(frozen=True)
class CellResult:
    """Tables of a cell by row, and the measures of its fit."""

    tables: Tables
    measures: Mapping[str, Any]


class Dataset(ABC):
    """A data set with its protocol."""

    name: ClassVar[str]
    title: ClassVar[str]
    protocol: ClassVar[str]  # what is measured, and how; one paragraph
    main_metric: ClassVar[str]  # order of the rows; a key of `estimates`
    published: ClassVar[Mapping[str, Mapping[str, float]]] = {}  # model → metric → value with the same protocol

    @abstractmethod
    def find_missing(self) -> str:
        """Missing files or packages, with the remedy; empty if the data set can be measured."""

    @abstractmethod
    def cells(self) -> tuple[Cell, ...]:
        """All cells."""

    @abstractmethod
    def inputs(self, cell: Cell, seed: int) -> dict[str, Any]:
        """Everything that the result of a cell depends on, with the joint hash under `hash`."""

    @abstractmethod
    def measure(self, cell: Cell, seed: int, folder: Path) -> CellResult:
        """Fit and measure a cell.

        Args:
            cell: One of `cells`.
            seed: Seed of the fit.
            folder: Folder of the cell, for checkpoints.
        """

    @abstractmethod
    def estimates(self, table: pl.DataFrame) -> dict[str, Estimate]:
        """Metrics of a table by `metric/part`, with bootstrap samples over users."""

    def result(self, cell: Cell, seed: int, folder: Path) -> CellResult:
        """Result of a cell, from the cache below `folder` or computed."""
        inputs = self.inputs(cell, seed)
        own = folder / self.name / f"{cell.name}-{inputs['hash'][:16]}"
        if not is_unchanged(own, inputs):
            own.mkdir(parents=True, exist_ok=True)
            began = time.monotonic()
            result = self.measure(cell, seed, own)
            rows = {f"{number}.parquet": name for number, name in enumerate(result.tables)}
            for file, name in rows.items():
                result.tables[name].write_parquet(own / file)
            measures = {"seconds": round(time.monotonic() - began, 1), **result.measures}
            write_json(own / MEASURES, {"rows": rows, "measures": measures})
            mark_done(own, inputs)
        content = json.loads((own / MEASURES).read_text())
        tables = {name: pl.read_parquet(own / file) for file, name in content["rows"].items()}
        return CellResult(tables, content["measures"])


def hash_inputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with their hash under `hash`."""
    return inputs | {"hash": hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()}


def hash_files(*paths: Path) -> str:
    """Hash of the content of some files."""
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()[:16]
