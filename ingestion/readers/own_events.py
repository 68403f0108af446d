"""`own_events`, Segue's own format: Parquet or JSON lines of any contract table.

The table is the name of a folder in the path (`tracks/…/x.parquet`) or of the file (`tracks.parquet`). Other files
hold listening events if their rows have `event_id, user_id, action`. Folders `truth/` hold the ground truth of simulated logs and
are never read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion import contract
from ingestion.readers.parsing import json_rows, parquet_batches, parquet_rows
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member, SourceError

PARQUET = (".parquet",)
JSON_LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
EXCLUDED_NAMES = ("truth", "landings", "quarantine")
BATCH_ROWS = 100_000
EVENT_COLUMNS = {"event_id", "user_id", "action"}


def contract_table(member: Member) -> str | None:
    """The contract table that a file holds; None if it is not in this format."""
    if not member.file.endswith(PARQUET + JSON_LINES) or any(part in EXCLUDED_NAMES for part in member.parts):
        return None
    for part in (member.file.split(".")[0], *reversed(member.parts[:-1])):
        if part in contract.SOURCE_TABLES:
            return part
    return "listening_events" if _columns(member) >= EVENT_COLUMNS else None


def _columns(member: Member) -> set[str]:
    if member.file.endswith(PARQUET):
        try:
            with member.opener() as file:
                return set(pq.read_schema(file).names)
        except (OSError, pa.ArrowInvalid):
            return set()
    first, _ = json_rows.parse_object(member.peek().split(b"\n", 1)[0].decode("utf-8", "replace"))
    return set(first)


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if contract_table(member) is not None]


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    for member in files:
        table = contract_table(member)
        if table is None:
            continue
        if member.file.endswith(PARQUET):
            yield from _parquet(member, table, context)
        else:
            yield from _json_lines(member, table, context)


def _parquet(member: Member, table: str, context: ReadContext) -> Iterator[Rows]:
    line = 1
    columns = contract.source_schema(table).names
    try:
        with member.opener() as file:
            parquet = parquet_batches.open_file(file if member.max_bytes is None else io.BytesIO(member.read()))
            for frame in parquet_rows.read_blocks(parquet, columns, BATCH_ROWS):
                numbers = pl.int_range(line, line + frame.height, dtype=pl.Int64)
                yield Rows(table, frame.with_columns(source_line=numbers, source_file=pl.lit(member.name)))
                line += frame.height
            context.report_progress(member.size)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(
            f"{member.name} is not a readable Parquet file after row {line - 1:,} ({error}); write it again"
        ) from error


def _json_lines(member: Member, table: str, context: ReadContext) -> Iterator[Rows]:
    with member.open(context.report_progress) as stream:
        for block in json_rows.read_line_blocks(stream, member.name):
            yield _rows(member, table, block)


def _rows(member: Member, table: str, block: list[tuple[int, str]]) -> Rows:
    """One row per line: the contract's columns, `raw`, and `reason` if the line is not a JSON object."""
    objects, reasons = zip(*(json_rows.parse_object(text) for _, text in block), strict=True)
    frame = json_rows.to_frame(table, objects, reasons).with_columns(
        pl.Series("source_line", [number for number, _ in block], pl.Int64),
        pl.Series("raw", [text for _, text in block], pl.String),
        source_file=pl.lit(member.name),
    )
    return Rows(table, frame, unparsable=len(reasons) - reasons.count(None))


READER = Reader(select_files=_select_files, read=_read, period="day", split="global_time")
