"""Segue's own format: Parquet or JSON lines of any contract table, and the recommender's event log.

The table is the name of a folder in the path (`tracks/…/x.parquet`) or of the file (`tracks.parquet`). Other files
whose rows have `event_id, user_id, action` hold listening events. Folders `truth/` hold the ground truth of simulated
logs and are never read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion import contract
from ingestion.readers.parsing import json_rows
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.sources import Member, SourceError

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
    try:
        first = json.loads(member.peek().split(b"\n", 1)[0])
    except ValueError:
        return set()
    return set(first) if isinstance(first, dict) else set()


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if contract_table(member) is not None]


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    for member in files:
        table = contract_table(member)
        if table is None:
            continue
        blocks = _parquet(member, context) if member.file.endswith(PARQUET) else _json_lines(member, table, context)
        for frame in blocks:
            yield Rows(table, frame.with_columns(source_file=pl.lit(member.name)))


def _parquet(member: Member, context: ReadContext) -> Iterator[pl.DataFrame]:
    try:
        with member.opener() as file:
            parquet = pq.ParquetFile(file if member.max_bytes is None else io.BytesIO(member.read()))
            line = 1
            for batch in parquet.iter_batches(BATCH_ROWS):
                frame = pl.DataFrame(pa.Table.from_batches([batch]))
                yield frame.with_row_index("source_line", offset=line).with_columns(
                    pl.col("source_line").cast(pl.Int64)
                )
                line += frame.height
            context.report_progress(member.size)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{member.name} is not a readable Parquet file ({error}); write it again") from error


def _json_lines(member: Member, table: str, context: ReadContext) -> Iterator[pl.DataFrame]:
    with member.open(context.report_progress) as stream:
        for block in json_rows.read_line_blocks(stream, member.name):
            yield _rows(table, block)


def _rows(table: str, block: list[tuple[int, str]]) -> pl.DataFrame:
    """One row per line: the contract's columns, `raw`, and `reason` if the line is not a JSON object."""
    objects, reasons = zip(*(json_rows.parse_object(text) for _, text in block), strict=True)
    return json_rows.to_frame(table, objects, reasons).with_columns(
        pl.Series("source_line", [number for number, _ in block], pl.Int64),
        pl.Series("raw", [text for _, text in block], pl.String),
    )


READER = Reader(select_files=_select_files, read=_read, period="day", split="global_time")
