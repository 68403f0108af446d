"""BlockReader equals ListReader and holds one block of users at a time if the rows are sorted by user."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sequences.offline.list_reader import BlockReader, ListReader
from sequences.timeline import EventTableError
from sequences.views import SEQUENCE_VIEWS
from tests.support.sequences.event_rows import event_rows, us, write_events

VIEW = replace(SEQUENCE_VIEWS["recent_events"], length=5)
NAMES = ["track_id", "behaviour", "ended_at", "played_ratio"]
COUNTS = {"a": 3, "b": 1, "c": 17, "d": 2, "e": 40, "g": 1, "h": 2}
"""user ▸ number of events; f has none."""


def history(user: str, count: int) -> list[dict[str, object]]:
    return [
        {
            "event_id": f"{user}-{n}",
            "user_id": user,
            "second": 60 * n,
            "sequence_number": n,
            "behaviour": ("full_play", "skip")[n % 2],
            "target_id": f"t{n % 7}",
            "played_ratio": n / 100,
        }
        for n in range(count)
    ]


@pytest.fixture
def path(tmp_path: Path) -> str:
    rows = event_rows([row for user, count in COUNTS.items() for row in history(user, count)])
    return str(write_events(tmp_path / "events.parquet", rows))


def make_queries(users: str) -> tuple[pa.Array, np.ndarray]:
    rows = [(user, us(second)) for user in users for second in (-1, 30, 500, 5000)]
    return pa.array([user for user, _ in rows], pa.string()), np.array([time for _, time in rows])


def as_lists(columns: list[pa.Array]) -> list[object]:
    return [column.to_pylist() for column in columns]


def test_daily_view_is_empty_if_it_expires_before_midnight(path: str) -> None:
    reader = ListReader.from_file(path, replace(VIEW, is_daily=True), NAMES, time_to_live=timedelta(hours=1))
    columns = reader.read(["e", "f"], np.array([us(5000), us(5000)]))
    assert as_lists(columns) == [[[], []]] * len(NAMES)


@pytest.mark.parametrize("users", ["abcdefgh", "0bfz", "hgfedcba", "eeaabbe", "f", "", "z"])
@pytest.mark.parametrize("rows_per_read", [1, 3, 100])
@pytest.mark.parametrize("block_events", [1, 4, 30, 1_000])
def test_block_reader_equals_list_reader(path: str, users: str, rows_per_read: int, block_events: int) -> None:
    of_rows, times_us = make_queries(users)
    reader = BlockReader(path, VIEW, NAMES, of_rows, min_events=block_events)
    whole = ListReader.from_file(path, VIEW, NAMES)
    for start in [*range(0, len(of_rows), rows_per_read), 0, len(of_rows) // 2]:
        some = times_us[start : start + rows_per_read]
        expected = whole.read(of_rows[start : start + rows_per_read].to_pylist(), some)
        found = reader.read(start, some)
        assert as_lists(found) == as_lists(expected)
        assert [column.type for column in found] == reader.types == whole.types


def test_sorted_users_are_read_one_block_at_a_time(path: str) -> None:
    of_rows, times_us = make_queries("abcdefgh")
    reader = BlockReader(path, VIEW, NAMES, of_rows, min_events=4)
    held = set()
    for row in range(len(of_rows)):
        reader.read(row, times_us[row : row + 1])
        held.add(tuple(reader._reader.timeline.users))
    # The file has a single batch; events beyond a block are held only until the next one.
    assert sorted(sum(held, ())) == sorted(COUNTS) and len(held) > 1


def test_unsorted_table_is_rejected(tmp_path: Path) -> None:
    rows = event_rows([row for user in "ab" for row in history(user, 3)])
    path = str(write_events(tmp_path / "events.parquet", rows[3:] + rows[:3]))
    for block_events in (1, 1_000):
        with pytest.raises(EventTableError, match="not sorted"):
            _all(BlockReader(path, VIEW, NAMES, pa.array(["a", "b"]), min_events=block_events))


def _all(reader: BlockReader) -> None:
    reader.read(0, np.array([us(5000)] * 2))
