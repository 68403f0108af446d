"""Landing zone: append-only Parquet files `landing/<table>/dt=<day or month>/<content hash>.parquet`.

Files are written atomically, to the home folder or to object storage; the lock is always in the home folder. Landing is
idempotent: events are deduplicated by `event_id`, rows of other tables are landed only if they differ from the newest
landed row of their key. Of tables with `source_at`, rows of other readers and of later sources do not count in this, and
a row that an older source stated, too, is landed with its new time. Rows that violate the contract go to `quarantine/`,
rows of erased users are dropped.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from event_store.store import Position
from ingestion import contract
from ingestion.deduplication import EventIdIndex
from ingestion.readers.parsing.json_rows import to_text
from ingestion.readers.parsing.reader import Period, Rows
from ingestion.row_validation import DAY_US, LATEST, MAX_TIME_US, MEDIA_COLUMNS, MIN_TIME_US, conform
from ingestion.source_files import SourceError
from storage import media_paths, object_store
from storage.file_lock import file_lock
from storage.suppression_list import SuppressionList
from storage.user_data import extract_user_ids

CLOCK_SKEW = timedelta(days=1)  # later events are quarantined, as their time is wrong
FLUSH_ROWS = 400_000
FLUSH_BYTES = 256 << 20  # buffered rows are written at the first of both limits
MAX_IDS_IN_MEMORY = 8_000_000  # event ids in memory, 12 bytes each; the others are spilled to disk
COMPARISON_MEMORY = "2GB"  # of the comparison of a catalog table with the landed one; the rest is spilled to disk
EMPTY_PARTITION = "dt=1970-01-01"  # holds a zero-row file per table, so that globs over the table never fail
MAX_UNPARSABLE_SHARE = 0.1
"""A log with a larger share of lines that are not rows of its format is an error: it is damaged or misread."""
MIN_UNPARSABLE_ROWS = 100
"""Fewer unparsable lines never make a log an error; they are only quarantined."""
REJECTED_COLUMNS = ("source_file", "source_line", "reason", "raw", "user_id")


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
        scratch: Folder of spilled event ids; None: all ids are kept in memory.
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
        self.counts, self._scratch = LandingCounts(), scratch
        self._origin = {"format": source_format, "source_at": source_at or landed_at, "landed_at": landed_at}
        self._media_prefix = media_prefix
        self._unparsable = 0
        self._suppression_list = suppressed_users or SuppressionList()
        self._landing, self._quarantine = tables / "landing", tables / "quarantine"
        self._period, self._landed_at, self._latest = period, landed_at, latest
        self._id_indexes: dict[tuple[str, str], EventIdIndex] = {}
        self._pending: dict[str, list[pl.DataFrame]] = {}
        self._rejected: dict[str, list[pl.DataFrame]] = {}
        self._catalogs: dict[str, _CatalogRows] = {}

    def add(self, rows: Rows) -> None:
        """Validate rows and buffer them; write the buffer when it is large enough."""
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
            if _is_full(self._rejected[rows.table]):
                self._flush_rejected(rows.table)
        valid = checked.filter(~is_invalid).select(contract.source_schema(rows.table).names)
        if valid.height == 0:
            return
        if rows.table == "tracks":
            valid = self._add_media_root(valid)
        self._pending.setdefault(rows.table, []).append(valid)
        if _is_full(self._pending[rows.table]):
            self._flush(rows.table)

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
        """Write all buffered rows, and a zero-row file for every table without files or with missing columns."""
        for table in list(self._pending):
            self._flush(table)
        for table in list(self._catalogs):
            self._land_catalog(table)
        for table in list(self._rejected):
            self._flush_rejected(table)
        for table, schema in contract.SCHEMAS.items():
            # Columns may be missing in the oldest file; the zero-row file sorts before all others.
            oldest = next(iter(_files(self._landing / table, "*")), None)
            if oldest is None or not set(schema.names) <= set(_schema(oldest).names):
                write_parquet(self._landing / table / EMPTY_PARTITION, schema.empty_table())
        return self.counts

    def record(
        self, landing_id: str, source: str, reader: str, split: str | None, through: Position | None = None
    ) -> None:
        """Append the landing to the table `landings`, unless the same content was landed before and no row is new.

        Args:
            landing_id: Hash of the source's content.
            source: Name of the landed file or folder.
            reader: Reader that read it.
            split: Train/test split of the events.
            through: Position up to which a store of the recommender is landed now; recorded in any case.
        """
        folder = self._landing / "landings"
        if through is None:
            recorded = [_read(file, ["landing_id", "format"]).to_pylist() for file in _files(folder, "*")]
            is_repeated = any(
                row["landing_id"] == landing_id and row["format"] == reader for rows in recorded for row in rows
            )
            if self.counts.read == 0 or (is_repeated and self.counts.landed == 0):
                return
        row = {"landing_id": landing_id, "source": source, "format": reader, "split": split, **vars(self.counts)}
        row |= {
            "landed_at": self._landed_at,
            "event_store": through and through.store,
            "event_seq": through and through.seq,
        }
        write_parquet(folder / self._today, pa.Table.from_pylist([row], contract.LANDINGS))

    @property
    def _today(self) -> str:
        return f"dt={self._landed_at:%Y-%m-%d}"

    def _flush(self, table: str) -> None:
        frames = self._pending.pop(table, [])
        if not frames:
            return
        rows = pl.concat(frames)
        if table in contract.EVENT_TIME_COLUMNS:
            self._flush_events(table, rows)
        else:
            self._flush_catalog(table, rows)

    def _flush_events(self, table: str, rows: pl.DataFrame) -> None:
        time, folder = contract.EVENT_TIME_COLUMNS[table], self._landing / table
        order = [name for name in ("user_id", time, "sequence_number", "event_id") if name in rows.columns]
        month = rows[time].dt.strftime("%Y-%m")
        partition = month if self._period == "month" else rows[time].dt.strftime("%Y-%m-%d")
        rows = rows.with_columns(month=month, partition=partition)
        for (dt, dt_month), part in sorted(rows.partition_by("partition", "month", as_dict=True).items()):
            # Search partitions of both lengths: a month that was landed as history may be landed again by day.
            days = str(dt_month) + "*" if self._period == "month" else str(dt)
            files = {*_files(folder, days), *_files(folder, str(dt_month))}
            landed_ids = self._id_index(table, days)
            new = part.filter(~landed_ids.contains(files, part["event_id"]))
            new = new.unique("event_id", keep="first", maintain_order=True)
            self.counts.landed += new.height
            self.counts.duplicate += part.height - new.height
            if new.height:
                new = new.drop("partition", "month").sort(order)
                write_parquet(folder / f"dt={dt}", _arrow(new, contract.SCHEMAS[table]))

    def _id_index(self, table: str, days: str) -> EventIdIndex:
        """Index of the event ids of a partition. The least recently used indexes are spilled to limit memory."""
        if (index := self._id_indexes.pop((table, days), None)) is None:
            index = EventIdIndex(self._scratch and self._scratch / "event_ids" / str(len(self._id_indexes)))
        for other in self._id_indexes.values():
            if sum(map(len, self._id_indexes.values())) + len(index) > MAX_IDS_IN_MEMORY:
                other.spill()
        self._id_indexes[table, days] = index
        return index

    def _flush_catalog(self, table: str, rows: pl.DataFrame) -> None:
        """Keep the rows until `finish`, which compares them with the landed table in one pass."""
        if table not in self._catalogs:
            self._catalogs[table] = _CatalogRows(self._scratch and self._scratch / "catalog" / table)
        self._catalogs[table].add(
            rows.unique(list(contract.KEYS[table]), keep="last", maintain_order=True), rows.height
        )

    def _land_catalog(self, table: str) -> None:
        """Land the last row of each key that differs from the newest landed row of the key."""
        given, schema = self._catalogs.pop(table), contract.SCHEMAS[table]
        added = {name: pl.lit(value) for name, value in self._origin.items() if name in schema.names}
        times = {name: value.cast(pl.Datetime("us", "UTC")) for name, value in added.items() if name != "format"}
        landed = 0
        for new in self._changed_rows(table, given):
            write_parquet(self._landing / table / self._today, _arrow(new.with_columns(**added | times), schema))
            landed += new.height
        self.counts.landed += landed
        self.counts.duplicate += given.rows - landed

    def _changed_rows(self, table: str, given: _CatalogRows) -> Iterator[pl.DataFrame]:
        """The last given row of each key if it differs from the newest landed one, in the order of the source.

        The newest one of a table that several sources state is that of the same reader, not counting later sources. There,
        a row is landed again if its source is newer: a source of a time between them, landed later, must not outdo it.
        """
        files = [str(file) for file in _files(self._landing / table, "*")]
        key = ", ".join(contract.KEYS[table])
        columns = contract.source_schema(table).names
        is_same_key = " and ".join(f"new.{name} = newest.{name}" for name in contract.KEYS[table])
        has_origin = "source_at" in contract.SCHEMAS[table].names
        condition, order = (
            ("format is not distinct from ? and source_at <= ?", "source_at desc, ") if has_origin else ("true", "")
        )
        parameters = [self._origin["format"], self._origin["source_at"]] if has_origin else []
        is_equal = " and ".join(f"new.{name} is not distinct from newest.{name}" for name in columns)
        if has_origin:
            is_equal += " and newest.source_at = ?"
            parameters.append(self._origin["source_at"])
        with object_store.connect_duckdb(self._landing, config=given.database_options) as connection:
            connection.register("empty", contract.SCHEMAS[table].empty_table())  # adds columns that old files lack
            landed = "select * from empty"
            if files:
                names = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
                landed += f" union all by name select * from read_parquet([{names}], union_by_name = true)"  # noqa: S608
            changed = connection.execute(
                f"""
                with given as (select * from {given.register(connection)}),
                latest as (
                    select * from given qualify row_number() over (partition by {key} order by place desc) = 1
                ),
                newest as (
                    select * from ({landed}) where ({key}) in (select ({key}) from given) and {condition}
                    qualify row_number() over (partition by {key} order by {order}landed_at desc) = 1
                )
                select {", ".join(f"new.{name}" for name in columns)}
                from latest as new
                left join newest on {is_same_key}
                where newest.landed_at is null or not ({is_equal})
                order by new.place
                """,  # noqa: S608 - table and column names are from the contract
                parameters,
            )
            for batch in changed.to_arrow_reader(FLUSH_ROWS):
                if batch.num_rows:
                    yield pl.DataFrame(pl.from_arrow(batch))

    def _is_suppressed(self, checked: pl.DataFrame) -> pl.Series:
        """Whether each row belongs to an erased user, by `user_id` or, if an invalid row has none, by its raw text."""
        if "user_id" not in checked.columns:
            return pl.repeat(False, checked.height, eager=True)
        suppressed = self._suppression_list.intersection(checked["user_id"].unique().drop_nulls())
        is_suppressed = checked["user_id"].is_in(list(suppressed)).fill_null(False)
        if "raw" not in checked.columns:
            return is_suppressed
        has_no_user = checked["user_id"].is_null() & checked["reason"].is_not_null() & checked["raw"].is_not_null()
        is_named = [
            check_raw and bool(self._suppression_list.intersection(extract_user_ids(raw)))
            for check_raw, raw in zip(has_no_user, checked["raw"], strict=True)
        ]
        return is_suppressed | pl.Series(is_named, dtype=pl.Boolean)

    def _reject(self, table: str, rows: pl.DataFrame, checked: pl.DataFrame) -> None:
        if not self.counts.quarantined:
            file, line, reason = rows.select("source_file", "source_line", "reason").row(0)
            self.counts.first_rejected = f"{file}, row {line}: {reason}"
        self.counts.quarantined += rows.height
        if "raw" not in rows.columns:
            columns = [name for name in rows.columns if name not in ("source_file", "source_line", "reason")]
            raw = [to_text(row) for row in _printable(rows.select(columns)).iter_rows(named=True)]
            rows = rows.with_columns(pl.Series("raw", raw, pl.String))
        users = checked["user_id"] if "user_id" in checked.columns else pl.lit(None)
        rows = rows.with_columns(user_id=users).cast({"user_id": pl.String})
        self._rejected.setdefault(table, []).append(rows.select(REJECTED_COLUMNS).rename({"source_file": "source"}))

    def _flush_rejected(self, table: str) -> None:
        rows = pl.concat(self._rejected.pop(table))
        ids = [
            hashlib.md5(f"{source.rsplit('/', 1)[-1]}|{line}|{raw}".encode(), usedforsecurity=False).hexdigest()
            for source, line, raw in rows.select("source", "source_line", "raw").iter_rows()
        ]
        rows = rows.with_columns(pl.Series("reject_id", ids, pl.String)).unique("reject_id", maintain_order=True)
        folder = self._quarantine / table
        for file in _files(folder, "*"):
            rows = rows.filter(~pl.col("reject_id").is_in(_read(file, ["reject_id"])["reject_id"].to_pylist()))
        if rows.height:
            new = rows.with_columns(landed_at=pl.lit(self._landed_at).cast(pl.Datetime("us", "UTC")))
            write_parquet(folder / self._today, _arrow(new, contract.QUARANTINE))


class _CatalogRows:
    """Rows of a catalog table that a landing has read, on disk or, without a folder, in memory.

    Attributes:
        rows: Number of rows, including earlier rows of a key.

    Args:
        folder: Folder for the rows and for what does not fit into the memory of the comparison.
    """

    def __init__(self, folder: Path | None) -> None:
        self.rows = 0
        self._folder = folder
        self._chunks: list[pl.DataFrame] = []
        self._places = 0
        if folder:
            folder.mkdir(parents=True)

    def add(self, chunk: pl.DataFrame, rows: int) -> None:
        """Add a chunk with one row per key that stands for `rows` rows of the source."""
        placed = chunk.with_row_index("place", self._places).with_columns(pl.col("place").cast(pl.Int64))
        if self._folder:
            placed.write_parquet(self._folder / f"{self._places}.parquet")
        else:
            self._chunks.append(placed)
        self._places += chunk.height
        self.rows += rows

    @property
    def database_options(self) -> dict[str, str]:
        """Options of the DuckDB connection that compares the rows."""
        spill = {"temp_directory": str(self._folder / "spill")} if self._folder else {}
        return {"memory_limit": COMPARISON_MEMORY, "threads": "2", **spill}

    def register(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Name of a relation with the rows; the column `place` numbers them in the order of the source."""
        if self._folder:
            return f"read_parquet('{self._folder}/*.parquet')"
        connection.register("chunks", pl.concat(self._chunks).to_arrow())
        return "chunks"


def last_position(tables: Path, store: str) -> Position | None:
    """The position up to which the store with this id is landed; None if nothing of it is."""
    files = _files(tables / "landing" / "landings", "*")
    rows = [row for file in files for row in _read(file, None).to_pylist() if row.get("event_store") == store]
    return Position(store, max(row["event_seq"] for row in rows)) if rows else None


def write_parquet(folder: Path, table: pa.Table) -> Path:
    """Atomically write a Parquet file named by the hash of its content; return its path."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    path = folder / f"{hashlib.sha256(content).hexdigest()[:20]}.parquet"
    object_store.write(path, content)
    return path


def _is_full(frames: list[pl.DataFrame]) -> bool:
    """Whether buffered rows must be written."""
    return (
        sum(frame.height for frame in frames) >= FLUSH_ROWS
        or sum(frame.estimated_size() for frame in frames) >= FLUSH_BYTES
    )


def _files(folder: Path, days: str) -> list[Path]:
    return object_store.list_files(folder, f"dt={days}/*.parquet")


def _printable(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with whole numbers instead of the times of a column that has times out of Python's range."""
    units: dict[pl.DataType, int] = {
        pl.Datetime("ms"): 1_000,
        pl.Datetime("us"): 1,
        pl.Date(): DAY_US,
    }  # nanoseconds are always in range
    for name, data_type in rows.schema.items():
        unit = units.get(pl.Datetime(data_type.time_unit) if isinstance(data_type, pl.Datetime) else data_type)
        if unit is not None:
            ticks = rows[name].to_physical()
            if not ticks.is_between(MIN_TIME_US // unit, MAX_TIME_US // unit).all():
                rows = rows.with_columns(ticks)
    return rows


def _schema(file: Path) -> pa.Schema:
    return pq.read_schema(object_store.open_arrow_source(file))


def _read(file: Path, columns: list[str] | None) -> pa.Table:
    return pq.read_table(object_store.open_arrow_source(file), columns=columns, partitioning=None)


def _arrow(rows: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    return rows.select(schema.names).to_arrow().cast(schema)
