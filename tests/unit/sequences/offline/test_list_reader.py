"""Lists of expired daily views, and readers of blocks of users."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sequences.offline.list_reader import ListReader, read_user_blocks
from sequences.sequence_views import SEQUENCE_VIEWS
from sequences.timeline import EventTableError
from tests.support.sequences.event_rows import event_rows, us, write_events

VIEW = replace(SEQUENCE_VIEWS["recent_events"], length=5)
NAMES = ["track_id", "behavior", "ended_at", "played_ratio"]
COUNTS = {"a": 3, "b": 1, "c": 17, "d": 2, "e": 40, "g": 1, "h": 2}
"""user ▸ number of events; f has none."""


def history(user: str, count: int) -> list[dict[str, object]]:
    return [
        {
            "event_id": f"{user}-{n}",
            "user_id": user,
            "second": 60 * n,
            "sequence_number": n,
            "behavior": ("full_play", "skip")[n % 2],
            "target_id": f"t{n % 7}",
            "played_ratio": n / 100,
        }
        for n in range(count)
    ]


@pytest.fixture
def path(tmp_path: Path) -> str:
    rows = event_rows([row for user, count in COUNTS.items() for row in history(user, count)])
    return str(write_events(tmp_path / "events.parquet", rows))


def as_lists(columns: list[pa.Array]) -> list[object]:
    return [column.to_pylist() for column in columns]


def test_daily_view_is_empty_if_it_expires_before_midnight(path: str) -> None:
    reader = ListReader.from_file(path, replace(VIEW, is_daily=True), NAMES, time_to_live=timedelta(hours=1))
    assert as_lists(reader.read(["e", "f"], np.array([us(5000), us(5000)]))) == [[[], []]] * len(NAMES)


@pytest.mark.parametrize("min_events", [1, 4, 30, 1_000])
def test_blocks_of_users_have_all_events(path: str, min_events: int) -> None:
    whole = ListReader.from_file(path, VIEW, VIEW.attribute_names)
    blocks = [readers[VIEW.name] for readers in read_user_blocks(path, [VIEW], min_events=min_events)]
    assert [user for block in blocks for user in block.timeline.users] == list(COUNTS)
    for block in blocks:
        users, times_us = np.repeat(block.timeline.users, 4).tolist(), [us(second) for second in (-1, 30, 500, 5000)]
        queries = users, np.tile(times_us, len(block.timeline.users))
        assert as_lists(block.read(*queries)) == as_lists(whole.read(*queries))


@pytest.mark.parametrize("min_events", [1, 1_000])
def test_unsorted_table_is_rejected(tmp_path: Path, min_events: int) -> None:
    rows = event_rows([row for user in "ab" for row in history(user, 3)])
    path = str(write_events(tmp_path / "events.parquet", rows[3:] + rows[:3]))
    with pytest.raises(EventTableError, match="not sorted"):
        list(read_user_blocks(path, [VIEW], min_events=min_events))
