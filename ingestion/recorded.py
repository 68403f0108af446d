"""Lands what the recommender recorded: the events of the event store, and the responses that were shown.

They are read page by page in the order of commit. After the files of a page its row of the table `landings` is written, which has
the position of the end of the page: the next landing reads on from there. A page that was landed without its row is landed again,
which changes nothing, because each event id is landed once. A store with a new id is read from its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from event_store.store import EventStore, Position, ServingState
from ingestion.landing_zone import CLOCK_SKEW, Landing, LandingCounts, landing_lock, last_positions
from ingestion.readers.parsing import json_rows
from ingestion.readers.parsing.reader import Rows
from storage import suppression_list

PAGE_EVENTS = 100_000
PAGE_RESPONSES = 5_000
"""Responses of one page, with up to 100 items each."""
EVENTS, RESPONSES = "events", "responses"
SOURCE = "recommender"

Page = Sequence[tuple[int, Mapping[str, Any]]]
"""Records of a store with their numbers."""


def land_recorded(
    events: EventStore, state: ServingState, home: Path, tables: Path | None = None, now: datetime | None = None
) -> list[tuple[str, LandingCounts]]:
    """Land what the stores have beyond the last landing, and remove landed responses; return kind and row counts of each page.

    Landed events stay in the store, because requests read them until they are materialized. Rows of erased users are dropped.

    Args:
        events: The event store.
        state: What the workers of the recommender share.
        home: Home folder.
        tables: Root of the landing zone; None: `home`.
        now: Time of the landing; None: the current time.

    Raises:
        StoreUnavailable: A store cannot be read.
        SuppressionListError: The suppression list is damaged.
        StorageError: Object storage is not available.
    """
    now, tables, landed = now or datetime.now(UTC), tables or home, []
    with landing_lock(home):
        suppressed = suppression_list.read_suppression_list(home / "suppression_list.json")
        scratch = home / "landing" / ".scratch"
        scratch.mkdir()
        new_landing = partial(Landing, tables, "day", now, now + CLOCK_SKEW, suppressed, scratch)
        new_landing().finish()  # the tables of a home without logs
        landed_before = last_positions(tables)
        after = landed_before.get(events.id)
        while page := events.read(after, PAGE_EVENTS):
            after = Position(events.id, page[-1][0])
            landed.append((EVENTS, _land_page(new_landing(), EVENTS, [_rows("listening_events", EVENTS, page)], after)))
        after = landed_before.get(state.id)
        while responses := state.read(after, PAGE_RESPONSES):
            after = Position(state.id, responses[-1][0])
            landed.append((RESPONSES, _land_page(new_landing(), RESPONSES, _response_rows(responses), after)))
            state.remove_exposures(after)
    return landed


def _land_page(landing: Landing, kind: str, tables: Iterable[Rows], through: Position) -> LandingCounts:
    for rows in tables:
        landing.add(rows)
    counts = landing.finish()
    landing.record(f"{through.store}-{through.seq}", SOURCE, kind, None, through)
    return counts


def _response_rows(page: Page) -> Iterator[Rows]:
    """Each shown item as an impression, which training reads, and as a row of `exposures`, with one id."""
    shown = [(number, _exposure_row(record, item)) for number, record in page for item in record["items"]]
    if shown:
        yield _rows("listening_events", RESPONSES, [(number, _impression_row(row)) for number, row in shown])
        yield _rows("exposures", RESPONSES, shown)


def _exposure_row(record: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: value for name, value in record.items() if name != "items"} | dict(item)
    return row | {"event_id": f"{record['request_id']}-{item['position']}"}


def _impression_row(shown: Mapping[str, Any]) -> dict[str, Any]:
    at = shown["shown_at"]
    times = {"occurred_at": at, "ended_at": at}
    return {**shown, **times, "sequence_number": shown["position"], "action": "impression"}


def _rows(table: str, source: str, page: Page) -> Rows:
    numbers, records = zip(*page, strict=True)
    frame = json_rows.to_frame(table, records, [None] * len(records))
    lines = pl.Series("source_line", numbers, pl.Int64)
    return Rows(table, frame.with_columns(lines, source_file=pl.lit(source)))
