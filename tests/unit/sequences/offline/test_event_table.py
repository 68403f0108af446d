"""Memory while reading the event table does not grow with the table."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequences.offline.event_table import read_view
from sequences.offline.list_reader import fill_missing
from sequences.online.batch_rows import encode_batch_rows
from sequences.views import SEQUENCE_VIEWS, Kind
from tests.support.sequences.event_rows import EVENT_SCHEMA, at, event_rows

VIEW = SEQUENCE_VIEWS["recent_events"]
USERS, EVENTS_PER_USER, ROWS_PER_GROUP = 12, 10, 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An event table with two users per row group and distinct tracks, so that the file has no dictionary of tracks."""
    rows = event_rows(
        {
            "event_id": f"{user}-{n}",
            "user_id": f"{user:02}",
            "second": n,
            "sequence_number": n,
            "target_id": f"{user}-{n}",
        }
        for user in range(USERS)
        for n in range(EVENTS_PER_USER)
    )
    path = tmp_path / "events.parquet"
    table = pa.Table.from_pylist(rows, EVENT_SCHEMA)
    pq.write_table(table, path, row_group_size=ROWS_PER_GROUP, use_dictionary=["user_id", "behaviour", "target_type"])
    return path


def test_batch_dictionaries_contain_only_texts_of_their_rows(path: Path) -> None:
    batches = list(read_view(path, VIEW, ["track_id"]))
    assert sum(map(len, batches)) == USERS * EVENTS_PER_USER
    assert [len(batch["track_id"].dictionary) for batch in batches] == [len(batch) for batch in batches]


@pytest.mark.parametrize("events_per_chunk", [EVENTS_PER_USER, 25, 1_000])
def test_chunk_dictionaries_contain_only_texts_of_their_row_groups(
    path: Path, monkeypatch: pytest.MonkeyPatch, events_per_chunk: int
) -> None:
    texts: list[int] = []

    def recording_fill(kind: Kind, column: pa.Array) -> pa.Array:
        if kind == "string" and pa.types.is_dictionary(column.type):
            texts.append(len(column.dictionary))
        return fill_missing(kind, column)

    monkeypatch.setattr("sequences.online.batch_rows.fill_missing", recording_fill)
    chunks = list(encode_batch_rows(path, [VIEW], at(1_000), events_per_chunk))
    assert sum(len(chunk.rows[VIEW.name]) for chunk in chunks) == USERS
    # A chunk ends with the row group that reaches the limit; at most one user of it remains for the next chunk.
    assert max(texts) <= min(events_per_chunk + ROWS_PER_GROUP + EVENTS_PER_USER, USERS * EVENTS_PER_USER)
