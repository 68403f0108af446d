"""`own_events`, Segue's own format: Parquet or JSON lines of any contract table.

The table is the name of a folder in the path (`tracks/…/x.parquet`) or of the file (`tracks.parquet`). Other files
hold listening events if their rows have `event_id, user_id, action`. Folders `truth/` are of simulations of earlier versions and
are never read.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion import landed_tables
from ingestion.readers.parsing import json_rows, parquet_rows
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member, SourceError

PARQUET = (".parquet",)
JSON_LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
EXCLUDED_NAMES = ("truth", "landings", "quarantine")
EVENT_COLUMNS = {"event_id", "user_id", "action"}


def contract_table(member: Member) -> str | None:
    """The contract table that a file holds; None if it is not in this format.

    Raises:
        SourceError: It is a damaged Parquet file, whose content cannot be determined.
    """
    if not member.file.endswith(PARQUET + JSON_LINES) or any(part in EXCLUDED_NAMES for part in member.parts):
        return None
    for part in (member.file.split(".")[0], *reversed(member.parts[:-1])):
        if part in landed_tables.SOURCE_TABLES:
            return part
    return "listening_events" if _columns(member) >= EVENT_COLUMNS else None


def _columns(member: Member) -> set[str]:
    if member.file.endswith(PARQUET):
        try:
            with member.opener() as file:
                return set(pq.read_schema(file).names)
        except (OSError, pa.ArrowInvalid) as error:
            raise SourceError(f"{member.name} is damaged ({str(error)[:200]}); get the file again") from error
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
            for frame in parquet_rows.read_file(member, landed_tables.source_schema(table).names, context):
                yield Rows(table, frame)
            continue
        for block in json_rows.read_file(member, context.report_progress):
            yield json_rows.to_rows(table, block, (json_rows.parse_object(text) for _, text in block), member.name)


READER = Reader(select_files=_select_files, read=_read, period="day", split="global_time")
