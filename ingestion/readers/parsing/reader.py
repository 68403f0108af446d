"""What every reader is: which files it finds, how it reads them, and what that means for landing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from ingestion.sources import Member

Period = Literal["month", "day"]
Split = Literal["global_time", "user_time"]


@dataclass(frozen=True)
class Rows:
    """Some rows for one table of the contract, in any types that `validation.conform` can take over.

    Beside the contract's columns `frame` has `source_file`, `source_line` (from 1) and, where the reader already knows
    that a row is no good, `reason` and `raw`.
    """

    table: str
    frame: pl.DataFrame
    duplicate: int = 0  # rows the reader itself recognised as told twice, not in `frame`


@dataclass(frozen=True)
class ReadContext:
    """One run of a reader: where it may keep large intermediate rows, whom to tell of progress, whose export it is."""

    scratch: Path  # an existing empty folder, removed afterwards
    report_progress: Callable[[int], object]  # bytes read
    source_name: str  # name of the path that is landed
    user_id: str | None = None  # user id that was asked for; None: the one that the source tells, or its name


@dataclass(frozen=True)
class Reader:
    """One log format. `finds` picks its files out of a source; `read` turns them into rows of the contract."""

    select_files: Callable[[list[Member]], list[Member]]
    read: Callable[[list[Member], ReadContext], Iterator[Rows]]
    period: Period  # historical loads land by month, running services by day
    split: Split | None  # parts for learning: one clock for all, or each user's own; None: there are no events in it
