"""Landing zone: append-only Parquet files `landing/<table>/dt=<day or month>/<content hash>.parquet`.

Files are written atomically, to the home folder or to object storage; the lock is always in the home folder. Landing is
idempotent: events are deduplicated by `event_id`, rows of other tables are landed only if they differ from the newest
landed row of their key. Of tables with `source_at`, rows of other readers and of later sources do not count in this, and
a row that an older source stated, too, is landed with its new time. Rows that violate the contract go to `quarantine/`,
with their text if they name a user; rows of erased users are dropped.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import duckdb
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.parquet as pq

from event_store.store import Position
from ingestion import landed_tables
from ingestion.readers.parsing.json_rows import to_text
from ingestion.readers.parsing.reader import Period, Rows
from ingestion.row_validation import LATEST, MAX_UNPARSABLE_SHARE, MEDIA_COLUMNS, MIN_UNPARSABLE_ROWS, conform
from ingestion.source_files import SourceError
from storage import media_paths, object_store
from storage.file_lock import file_lock
from storage.suppression_list import SuppressionList

CLOCK_SKEW = timedelta(days=1)  # later events are quarantined, as their time is wrong
FLUSH_ROWS = 400_000  # of a file
COMPARISON_MEMORY = "2GB"  # of the comparison of staged rows with the landed ones; the rest is spilled to disk
EMPTY_PARTITION = "dt=1970-01-01"  # holds a zero-row file per table, so that globs over the table never fail
PARTITION_FORMATS: dict[Period, str] = {"month": "%Y-%m", "day": "%Y-%m-%d"}
REJECTED_COLUMNS = [name for name in landed_tables.QUARANTINE.names if name != "landed_at"]


@dataclass
class LandingCounts:
    """Row counts of a landing: read = landed + duplicate + quarantined + suppressed."""

    read: int = 0
    landed: int = 0
    duplicate: int = 0
    quarantined: int = 0
    suppressed: int = 0  # rows of erased users
    first_rejected: str = field(default="", compare=False)  # file, line and reason of the first quarantined row


@contextmanager
def landing_lock(home: Path) -> Iterator[None]:
    """Hold the lock that allows one landing per home, and delete leftovers of interrupted landings."""
    landing = home / "landing"
    with file_lock(landing / ".lock"):
        shutil.rmtree(landing / ".scratch", ignore_errors=True)
        for root in (landing, home / "quarantine"):
            for leftover in root.glob("*/dt=*/.*.parquet.*"):
                leftover.unlink()
        try:
            yield
        finally:
            shutil.rmtree(landing / ".scratch", ignore_errors=True)


class Landing:
    """Lands the rows of one source and counts them in `counts`.

    Args:
        tables: Root of landing zone and quarantine.
        period: Partition length of events.
        landed_at: Time of the landing.
        latest: Events at or after this time are quarantined.
        suppressed_users: Users whose rows are dropped.
        scratch: Folder for the rows until `finish`; None: a temporary folder of the system.
        media_prefix: Function that returns the prefix of media paths, called for the first path; the default returns none.
        source_format: Reader of the source.
        source_at: Time at which the newest file of the source was written; None: `landed_at`.
    """

    def __init__(
        self,
        tables: Path,
        period: Period,
        landed_at: datetime,
        latest: datetime = LATEST,
        suppressed_users: SuppressionList | None = None,
        scratch: Path | None = None,
        media_prefix: Callable[[], str] = str,
        source_format: str | None = None,
        source_at: datetime | None = None,
    ) -> None:
        self.counts = LandingCounts()
        self._origin = {"format": source_format, "source_at": source_at or landed_at, "landed_at": landed_at}
        self._media_prefix = media_prefix
        self._unparsable = 0
        self._suppression_list = suppressed_users or SuppressionList()
        self._landing, self._quarantine = tables / "landing", tables / "quarantine"
        self._period, self._landed_at, self._latest = period, landed_at, latest
        self._today = f"dt={landed_at:%Y-%m-%d}"
        self._rejected: dict[str, _StagedRows] = defaultdict(partial(_StagedRows, scratch))
        self._staged: dict[tuple[str, str], _StagedRows] = defaultdict(partial(_StagedRows, scratch))

    def add(self, rows: Rows) -> None:
        """Validate rows, and keep them until `finish`."""
        self.counts.read += rows.frame.height + rows.duplicate
        self.counts.duplicate += rows.duplicate
        self._unparsable += rows.unparsable
        if rows.frame.height == 0:
            return
        checked, read = conform(rows.table, rows.frame, self._latest), rows.frame
        if self._suppression_list:
            is_allowed = ~self._is_suppressed(checked)
            self.counts.suppressed += checked.height - int(is_allowed.sum())
            checked, read = checked.filter(is_allowed), read.filter(is_allowed)
        is_invalid = checked["reason"].is_not_null()
        if is_invalid.any():
            self._reject(
                rows.table, read.with_columns(checked["reason"]).filter(is_invalid), checked.filter(is_invalid)
            )
        valid = checked.filter(~is_invalid).select(landed_tables.source_schema(rows.table).names)
        if valid.height == 0:
            return
        if rows.table == "tracks":
            valid = self._add_media_root(valid)
        self._stage(rows.table, valid)

    def _add_media_root(self, tracks: pl.DataFrame) -> pl.DataFrame:
        """Tracks whose media paths name the folder that they are relative to."""
        names = [name for name in MEDIA_COLUMNS if tracks[name].null_count() < tracks.height]
        if not names:
            return tracks
        prefix = self._media_prefix()
        has_root = {name: pl.col(name).str.contains(media_paths.WITH_ROOT) for name in names}
        return tracks.with_columns(
            pl.when(has_root[name] | (pl.col(name) == "")).then(name).otherwise(prefix + pl.col(name)).alias(name)
            for name in names
        )

    def check_unparsable_share(self, source: str) -> None:
        """Check that most lines of the source were rows of its format. Call it before `finish`.

        Args:
            source: Name of the source for the error message.

        Raises:
            SourceError: More than `MAX_UNPARSABLE_SHARE` of the rows could not be parsed.
        """
        if self._unparsable > max(MIN_UNPARSABLE_ROWS, MAX_UNPARSABLE_SHARE * self.counts.read):
            raise SourceError(
                f"{source}: {self._unparsable:,} of {self.counts.read:,} rows cannot be parsed, more than "
                f"{MAX_UNPARSABLE_SHARE:.0%}; the first rejected one is {self.counts.first_rejected}. Check its delimiter, "
                "quotes and encoding, and land the corrected log"
            )

    def finish(self) -> LandingCounts:
        """Write all rows, and a zero-row file for every table without files or with missing columns."""
        for table, partition in sorted(self._staged):
            self._land(table, partition)
        for table, given in self._rejected.items():
            folder = self._quarantine / table
            new_rows = self._new_rows(given, _files(folder, "*"), "reject_id", REJECTED_COLUMNS, "place")
            self._write(folder / self._today, landed_tables.QUARANTINE, new_rows)
        self._rejected.clear()
        for table, schema in landed_tables.SCHEMAS.items():
            # Columns may be missing in the oldest file; the zero-row file sorts before all others.
            oldest = next(iter(_files(self._landing / table, "*")), None)
            if oldest is None or not set(schema.names) <= set(
                pq.read_schema(object_store.open_arrow_source(oldest)).names
            ):
                write_parquet(self._landing / table / EMPTY_PARTITION, schema.empty_table())
        return self.counts

    def record(
        self, landing_id: str, source: str, reader: str, split: str | None, through: Position | None = None
    ) -> None:
        """Append the landing to the table `landings`, unless the same files were landed before and no row is new.

        Args:
            landing_id: Hash of the files of the source.
            source: Name of the landed file or folder.
            reader: Reader that read it.
            split: Train/test split of the events.
            through: Position up to which a store of the recommender is landed now; recorded in any case.
        """
        folder = self._landing / "landings"
        if through is None:
            landed = [_read(file, ["landing_id", "format"]).to_pylist() for file in _files(folder, "*")]
            is_repeated = {"landing_id": landing_id, "format": reader} in chain.from_iterable(landed)
            if self.counts.read == 0 or (is_repeated and self.counts.landed == 0):
                return
        row = {
            "landing_id": landing_id,
            "source": source,
            "format": reader,
            "split": split,
            **vars(self.counts),
            "landed_at": self._landed_at,
            "event_store": through and through.store,
            "event_seq": through and through.seq,
        }
        write_parquet(folder / self._today, pa.Table.from_pylist([row], landed_tables.LANDINGS))

    def _stage(self, table: str, rows: pl.DataFrame) -> None:
        """Keep rows by partition until `finish`, which compares each with the landed ones in one pass."""
        time = landed_tables.EVENT_TIME_COLUMNS.get(table)
        partition = pl.lit("") if time is None else pl.col(time).dt.strftime(PARTITION_FORMATS[self._period])
        parts = rows.with_columns(partition=partition).partition_by("partition", as_dict=True, include_key=False)
        for (name,), part in parts.items():
            # The first row of an event is valid, and the last one of a track.
            keep: Literal["first", "last"] = "first" if time else "last"
            distinct = part.unique(list(landed_tables.KEYS[table]), keep=keep, maintain_order=True)
            self._staged[table, str(name)].add(distinct, part.height)

    def _land(self, table: str, partition: str) -> None:
        """Land the events of a partition that have not landed, or the rows of a catalog that have changed."""
        given = self._staged.pop((table, partition))
        new_rows = self._new_events(table, partition, given) if partition else self._changed_rows(table, given)
        folder = self._landing / table / (f"dt={partition}" if partition else self._today)
        landed = self._write(folder, landed_tables.SCHEMAS[table], new_rows)
        self.counts.landed += landed
        self.counts.duplicate += given.rows - landed

    def _write(self, folder: Path, schema: pa.Schema, new_rows: Iterable[pl.DataFrame]) -> int:
        """Write each block of rows to a file; return the number of rows."""
        added = {name: pl.lit(value) for name, value in self._origin.items() if name in schema.names}
        written = 0
        for new in new_rows:
            write_parquet(folder, new.with_columns(**added).select(schema.names).to_arrow().cast(schema))
            written += new.height
        return written

    def _new_events(self, table: str, partition: str, given: _StagedRows) -> Iterator[pl.DataFrame]:
        """The first given row of each event that has not landed, by user and time."""
        folder, month = self._landing / table, partition[: len("2026-06")]
        # Partitions of both lengths: a month that was landed as history may be landed again by day.
        files = {*_files(folder, f"{month}*" if partition == month else partition), *_files(folder, month)}
        columns = landed_tables.source_schema(table).names
        order = [
            name for name in ("user_id", landed_tables.EVENT_TIME_COLUMNS[table], "sequence_number") if name in columns
        ]
        return self._new_rows(given, files, "event_id", columns, ", ".join([*order, "event_id"]))

    def _new_rows(
        self, given: _StagedRows, files: Iterable[Path], key: str, columns: list[str], order: str
    ) -> Iterator[pl.DataFrame]:
        """The first given row of each key that is not in the files."""
        with object_store.connect_duckdb(self._landing, config=given.database_options) as connection:
            is_new = f"{key} not in (select {key} from {_relation(files)})" if files else "true"  # noqa: S608
            new = connection.execute(
                f"""
                select {", ".join(columns)} from {given.relation} where {is_new}
                qualify row_number() over (partition by {key} order by place) = 1
                order by {order}
                """  # noqa: S608 - table and column names are from the contract
            )
            yield from _batches(new)

    def _changed_rows(self, table: str, given: _StagedRows) -> Iterator[pl.DataFrame]:
        """The last given row of each key if it differs from the newest landed one, in the order of the source.

        In a table with several sources, the newest row is the newest of the same reader, without later sources. There, a row
        is landed again if its source is newer, so that a source in between, landed later, does not replace it.
        """
        files = _files(self._landing / table, "*")
        key = ", ".join(landed_tables.KEYS[table])
        columns = landed_tables.source_schema(table).names
        is_same_key = " and ".join(f"new.{name} = newest.{name}" for name in landed_tables.KEYS[table])
        is_equal = " and ".join(f"new.{name} is not distinct from newest.{name}" for name in columns)
        condition, order, parameters = "true", "landed_at desc", {}
        if "source_at" in landed_tables.SCHEMAS[table].names:
            condition, order = (
                "format is not distinct from $format and source_at <= $at",
                "source_at desc, landed_at desc",
            )
            is_equal += " and newest.source_at = $at"
            parameters = {"format": self._origin["format"], "at": self._origin["source_at"]}
        with object_store.connect_duckdb(self._landing, config=given.database_options) as connection:
            connection.register("empty", landed_tables.SCHEMAS[table].empty_table())  # adds columns that old files lack
            landed = "select * from empty"
            if files:
                landed += f" union all by name select * from {_relation(files)}"  # noqa: S608
            changed = connection.execute(
                f"""
                with given as (select * from {given.relation}),
                latest as (
                    select * from given qualify row_number() over (partition by {key} order by place desc) = 1
                ),
                newest as (
                    select * from ({landed}) where ({key}) in (select ({key}) from given) and {condition}
                    qualify row_number() over (partition by {key} order by {order}) = 1
                )
                select {", ".join(f"new.{name}" for name in columns)}
                from latest as new
                left join newest on {is_same_key}
                where newest.landed_at is null or not ({is_equal})
                order by new.place
                """,  # noqa: S608 - table and column names are from the contract
                parameters,
            )
            yield from _batches(changed)

    def _is_suppressed(self, checked: pl.DataFrame) -> pl.Series:
        """Whether each row belongs to an erased user. Of rows without a valid `user_id` no text is kept."""
        if "user_id" not in checked.columns:
            return pl.repeat(False, checked.height, eager=True)
        suppressed = self._suppression_list.intersection(checked["user_id"].unique().drop_nulls())
        return checked["user_id"].is_in(list(suppressed)).fill_null(False)

    def _reject(self, table: str, rows: pl.DataFrame, checked: pl.DataFrame) -> None:
        if not self.counts.quarantined:
            file, line, reason = rows.select("source_file", "source_line", "reason").row(0)
            self.counts.first_rejected = f"{file}, row {line}: {reason}"
        self.counts.quarantined += rows.height
        if "raw" not in rows.columns:
            columns = [name for name in rows.columns if name not in ("source_file", "source_line", "reason")]
            values = rows.select(columns).with_columns(cs.temporal().to_physical())
            rows = rows.with_columns(pl.Series("raw", map(to_text, values.iter_rows(named=True)), pl.String))
        ids = [
            hashlib.md5(f"{source.rsplit('/', 1)[-1]}|{line}|{raw}".encode(), usedforsecurity=False).hexdigest()
            for source, line, raw in rows.select("source_file", "source_line", "raw").iter_rows()
        ]
        users = checked["user_id"] if "user_id" in checked.columns else pl.lit(None, pl.String)
        rows = rows.with_columns(pl.Series("reject_id", ids, pl.String), source="source_file", user_id=users)
        # A text that names no user could not be found when a user in it is erased.
        raw = pl.when(pl.col("user_id").is_not_null()).then("raw").otherwise(pl.lit(""))
        self._rejected[table].add(rows.with_columns(raw=raw).select(REJECTED_COLUMNS), rows.height)


class _StagedRows:
    """Rows of a partition or a catalog table that a landing has read, on disk as long as this object lives.

    Attributes:
        rows: Number of rows, including earlier rows of a key.
        relation: SQL relation of the rows; the column `place` numbers them in the order of the source.
        database_options: Options of the DuckDB connection that compares the rows.

    Args:
        scratch: Folder for the rows and for what does not fit into the memory of the comparison; None: a temporary folder of the system.
    """

    def __init__(self, scratch: Path | None) -> None:
        self.rows = self._places = 0
        self._folder = tempfile.TemporaryDirectory(prefix="staged-", dir=scratch)
        self.relation = f"read_parquet('{self._folder.name}/*.parquet')"
        spill = f"{self._folder.name}/spill"
        self.database_options = {"memory_limit": COMPARISON_MEMORY, "threads": "2", "temp_directory": spill}

    def add(self, chunk: pl.DataFrame, rows: int) -> None:
        """Add a chunk with one row per key that stands for `rows` rows of the source."""
        placed = chunk.with_row_index("place", self._places).with_columns(pl.col("place").cast(pl.Int64))
        placed.write_parquet(Path(self._folder.name) / f"{self._places}.parquet")
        self._places += chunk.height
        self.rows += rows


def last_positions(tables: Path) -> dict[str, Position]:
    """Id of a store of the recommender ▸ the position up to which it is landed."""
    files = _files(tables / "landing" / "landings", "*")
    rows = [row for file in files for row in _read(file, None).to_pylist() if row.get("event_store") is not None]
    rows.sort(key=lambda row: row["event_seq"])
    return {row["event_store"]: Position(row["event_store"], row["event_seq"]) for row in rows}


def write_parquet(folder: Path, table: pa.Table) -> Path:
    """Atomically write a Parquet file named by the hash of its content; return its path."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    path = folder / f"{hashlib.sha256(content).hexdigest()[:20]}.parquet"
    object_store.write(path, content)
    return path


def _relation(files: Iterable[Path]) -> str:
    """SQL relation of the rows of files."""
    names = ", ".join("'" + str(file).replace("'", "''") + "'" for file in sorted(files))
    return f"read_parquet([{names}], union_by_name = true)"


def _batches(result: duckdb.DuckDBPyConnection) -> Iterator[pl.DataFrame]:
    for batch in result.to_arrow_reader(FLUSH_ROWS):
        if batch.num_rows:
            yield pl.DataFrame(pl.from_arrow(batch))


def _files(folder: Path, days: str) -> list[Path]:
    return object_store.list_files(folder, f"dt={days}/*.parquet")


def _read(file: Path, columns: list[str] | None) -> pa.Table:
    return pq.read_table(object_store.open_arrow_source(file), columns=columns, partitioning=None)
