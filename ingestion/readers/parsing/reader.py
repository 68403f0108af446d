"""Interface of the log readers: which files a reader selects, how it reads them, and how landing treats the rows.

Readers that can only process rows after they have seen the whole log keep them in a staging database on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import duckdb
import polars as pl
import pyarrow as pa

from ingestion.row_validation import LATEST
from ingestion.source_files import Member
from storage import media_paths

Period = Literal["month", "day"]
Split = Literal["global_time", "user_time"]

STAGING_MEMORY_LIMIT = "500MB"
BATCH_ROWS = 122_880
"""Number of rows per batch that is read back from a staging database."""


@dataclass(frozen=True)
class Rows:
    """A block of rows of one contract table, in any types that `row_validation.conform` can convert."""

    table: str
    frame: (
        pl.DataFrame
    )  # contract columns, `source_file`, `source_line` (from 1); optionally `reason` and `raw` of rejects
    duplicate: int = 0  # number of repeated rows that the reader dropped; they are not in `frame`
    unparsable: int = 0  # number of rejects in `frame` that are not rows of the format at all, as torn lines


@dataclass(frozen=True)
class MediaFolders:
    """Folders of the media of one landing."""

    home: Path  # SEGUE_HOME/media, for extracted covers
    source: Path  # the landed folder, or the folder of the landed file
    media_root: Path | None = None  # SEGUE_MEDIA_ROOT

    def landed_prefix(self) -> str:
        """Prefix of the media paths of this landing; registers the landed folder unless there is a media root."""
        return "" if self.media_root else media_paths.register_root(self.home, self.source)


@dataclass(frozen=True)
class ReadContext:
    """Inputs of one run of a reader besides the files."""

    scratch: Path  # empty folder for large intermediate data; deleted afterwards
    report_progress: Callable[[int], object]  # called with the number of bytes read
    source_name: str  # name of the landed path
    media: MediaFolders
    user_id: str | None = None  # user id requested on the command line; None: from the source, or the source's name
    latest: datetime = LATEST  # events at or after this time are rejected


@dataclass(frozen=True)
class Reader:
    """Reader of one log format."""

    select_files: Callable[[list[Member]], list[Member]]  # picks the files of this format from a source
    read: Callable[[list[Member], ReadContext], Iterator[Rows]]  # converts the files to contract rows
    period: Period  # partition length: historical loads land by month, running services by day
    split: Split | None  # train/test split: by global time or by each user's own time; None: the format has no events


def open_staging_database(scratch: Path, name: str) -> duckdb.DuckDBPyConnection:
    """Open a new, empty database in folder `scratch`. Query results are unordered unless the query orders them."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": STAGING_MEMORY_LIMIT,
        "temp_directory": str(scratch / f"spill_{name}"),
        "preserve_insertion_order": "false",
    }
    return duckdb.connect(str(scratch / f"{name}.duckdb"), config=config)


def stage_rows(database: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    """Append rows to a table of a staging database."""
    block = rows.to_arrow()  # noqa: F841 - DuckDB reads it by name
    database.execute(f"insert into {table} select * from block")  # noqa: S608


def read_staged(database: duckdb.DuckDBPyConnection, table: str, query: str) -> Iterator[Rows]:
    """Rows of a contract table that a query of a staging database returns."""
    for batch in database.execute(query).to_arrow_reader(BATCH_ROWS):
        yield Rows(table, pl.DataFrame(pa.Table.from_batches([batch])))
