"""The recommender's exposure log: one JSON record per shown response, `live/dt=<day>/exposures-*.jsonl`.

Each item of a record becomes an impression, which training reads, and a row of `exposures` with the release and the
channels that selected it. Both have the id `<request_id>-<position>`, so that landing is idempotent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from ingestion.readers.parsing import json_rows
from ingestion.readers.parsing.reader import ReadContext, Reader, Rows
from ingestion.source_files import Member

FILE_PATTERN = re.compile(r"exposures-\d+-\d+\.jsonl")
BATCH_RECORDS = 5_000  # with up to 100 items each

Objects = list[dict[str, Any]]


def _select_files(files: list[Member]) -> list[Member]:
    return [member for member in files if FILE_PATTERN.fullmatch(member.file) and _has_records(member)]


def _has_records(member: Member) -> bool:
    """Whether a file holds exposure records, or only erased ones.

    Files of older releases hold impressions, which are read as events.
    """
    lines = member.peek(skip_blanks=True).splitlines()
    objects = (json_rows.parse_object(line.decode("utf-8", "replace"))[0] for line in lines)
    return not lines or any("items" in record for record in objects)


def _read(files: list[Member], context: ReadContext) -> Iterator[Rows]:
    for member in files:
        with member.open(context.report_progress) as stream:
            for lines in json_rows.read_line_blocks(stream, member.name, BATCH_RECORDS):
                yield from _tables(member.name, lines)


def _tables(source: str, lines: list[tuple[int, str]]) -> Iterator[Rows]:
    shown: list[tuple[int, dict[str, Any]]] = []
    rejected: list[tuple[int, str, str]] = []
    for number, text in lines:
        record, reason = json_rows.parse_object(text)
        items = record.get("items")
        if reason is None and not (isinstance(items, list) and all(isinstance(item, dict) for item in items)):
            reason = "items is not a list of objects"
        if reason is None:
            shown += [(number, _exposure_row(record, item)) for item in items or []]
        else:
            rejected.append((number, reason, text))
    if rejected:
        numbers, reasons, texts = map(list, zip(*rejected, strict=True))
        frame = _frame("exposures", source, numbers, [{}] * len(rejected), texts, reasons)
        yield Rows("exposures", frame, unparsable=len(rejected))
    if shown:
        numbers, rows = [number for number, _ in shown], [row for _, row in shown]
        impressions = [_impression_row(row) for row in rows]
        for table, objects in (("listening_events", impressions), ("exposures", rows)):
            yield Rows(table, _frame(table, source, numbers, objects, list(map(json_rows.to_text, objects))))


def _exposure_row(record: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: value for name, value in record.items() if name != "items"} | dict(item)
    request_id, position = record.get("request_id"), item.get("position")
    is_identified = isinstance(request_id, str | int) and isinstance(position, str | int)
    row["event_id"] = f"{request_id}-{position}" if is_identified else None
    return row


def _impression_row(shown: Mapping[str, Any]) -> dict[str, Any]:
    at = shown.get("shown_at")
    return {
        **shown,
        "sequence_number": shown.get("position"),
        "occurred_at": at,
        "ended_at": at,
        "action": "impression",
    }


def _frame(
    table: str,
    source: str,
    numbers: list[int],
    objects: Objects,
    texts: list[str],
    reasons: Sequence[str | None] | None = None,
) -> pl.DataFrame:
    return json_rows.to_frame(table, objects, reasons or [None] * len(objects)).with_columns(
        pl.Series("source_line", numbers, pl.Int64),
        pl.Series("raw", texts, pl.String),
        source_file=pl.lit(source),
    )


READER = Reader(select_files=_select_files, read=_read, period="day", split="global_time")
