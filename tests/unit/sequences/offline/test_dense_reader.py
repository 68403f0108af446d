"""The dense reader against the oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sequences.offline.dense_reader import DenseReader
from sequences.sequence_views import SEQUENCE_VIEWS
from sequences.timeline import EventTableError
from tests.support.sequences.event_rows import EVENT_SCHEMA, event_rows, us, write_events

ENCODERS = {"track_id": {f"t{n}": n + 1 for n in range(1, 6)}, "behavior": {"full_play": 2, "skip": 4}}


def history(user: str, count: int, start: float = 0) -> list[dict[str, object]]:
    return [
        {
            "event_id": f"{user}-{n}",
            "user_id": user,
            "second": start + 60 * (n // 2),  # every second event ties with the previous one
            "sequence_number": n,
            "behavior": ("full_play", "skip", "impression_without_click")[n % 3],
            "target_id": f"t{1 + n % 7}",
            "played_ratio": None if n % 5 == 0 else n / 100,
        }
        for n in range(count)
    ]


@pytest.fixture
def rows() -> list[dict[str, object]]:
    return event_rows([*history("a", 13), *history("b", 1), *history("c", 30, start=1000)])


@pytest.mark.parametrize("users", [["a"], ["b", "c"], ["unknown_user"]])
def test_trimmed_batch_is_as_wide_as_its_longest_sequence(
    tmp_path: Path, rows: list[dict[str, object]], users: list[str]
) -> None:
    view = SEQUENCE_VIEWS["played_history"]
    reader = DenseReader(write_events(tmp_path / "events.parquet", rows), view, ENCODERS)
    times = [us(9999)] * len(users)
    whole, trimmed = reader.read(users, times), reader.read(users, times, is_trimmed=True)
    width = max(int(whole.length_B.max()), 1)
    assert width < view.length
    np.testing.assert_array_equal(trimmed.length_B, whole.length_B)
    np.testing.assert_equal(trimmed.columns, {name: column[:, :width] for name, column in whole.columns.items()})


def test_cached_arrays_equal_the_table_and_are_reused(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    path, view = write_events(tmp_path / "events.parquet", rows), SEQUENCE_VIEWS["recent_events"]
    kept = tmp_path / "a" / "b"
    read = DenseReader(path, view, ENCODERS)
    DenseReader(path, view, ENCODERS, cache_folder=kept)
    path.unlink()
    again = DenseReader(path, view, ENCODERS, cache_folder=kept)
    assert again.users == read.users
    queries = ["c", "a", "unknown_user"], [us(1e6), us(70), us(1e6)]
    assert (again.read(*queries).length_B > 0).tolist() == [True, True, False]
    np.testing.assert_equal(vars(again.read(*queries)), vars(read.read(*queries)))
    np.testing.assert_equal(again.columns, read.columns)
    assert [column.dtype for column in again.columns.values()] == [column.dtype for column in read.columns.values()]
    again.columns["track_id"][:] = 0
    assert DenseReader(path, view, ENCODERS, cache_folder=kept).columns["track_id"].any(), "the file is not written to"


def test_empty_table_gives_empty_sequences(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(EVENT_SCHEMA.empty_table(), path)
    batch = DenseReader(path, SEQUENCE_VIEWS["recent_events"], ENCODERS).read(["a"], [us(0)])
    assert batch.length_B.tolist() == [0]
    assert not batch.columns["track_id"].any()
    for _ in range(2):
        kept = DenseReader(path, SEQUENCE_VIEWS["recent_events"], ENCODERS, cache_folder=tmp_path / "kept")
        assert kept.read(["a"], [us(0)]).length_B.tolist() == [0]


def test_missing_table_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(EventTableError, match="dbt build"):
        DenseReader(tmp_path / "events.parquet", SEQUENCE_VIEWS["recent_events"], ENCODERS)
