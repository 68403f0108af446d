"""Materialisation: what it leaves out, that it goes on where it was cut off, and Feast's own command."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from sequences import materialize as module
from sequences.definition import SEQUENCE_VIEWS
from sequences.materialize import materialize
from sequences.online import OnlineReader
from tests.sequences.conftest import event_rows, write_events
from tests.sequences.store_fixture import sqlite_store

VIEWS = {name: SEQUENCE_VIEWS[name] for name in ("recent_events", "listened_history")}
EVENTS = [
    {"event_id": f"{user}{n}", "user_id": user, "second": second, "sequence_number": n}
    for user in ("a", "b", "c")
    for n, second in enumerate((10, 20, 90_000))
]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    write_events(tmp_path / "events.parquet", event_rows(EVENTS))
    return sqlite_store(tmp_path, VIEWS)


def run(store: Any, folder: Path, as_of: date) -> dict[str, int]:
    return materialize(store, as_of, folder, folder / "progress.json", tuple(VIEWS.values()))


def test_only_what_was_known_before_as_of(store: Any, tmp_path: Path) -> None:
    reader = OnlineReader(store, VIEWS)
    run(store, tmp_path, date(2024, 1, 2))
    assert reader.read("a")["recent_events"]["event_id"] == ["a0", "a1"]
    run(store, tmp_path, date(2024, 1, 3))
    assert reader.read("a")["recent_events"]["event_id"] == ["a0", "a1", "a2"]


def test_a_cut_off_run_goes_on_where_it_was(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "USERS_OF_A_CHUNK", 1)
    provider = store._get_provider()
    write, calls = provider.online_write_batch, []

    def cut_off(*arguments: Any) -> None:
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(arguments)
        write(*arguments)

    monkeypatch.setattr(provider, "online_write_batch", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path, date(2024, 1, 2))
    monkeypatch.setattr(provider, "online_write_batch", write)
    assert run(store, tmp_path, date(2024, 1, 2)) == {"recent_events": 0, "listened_history": 2, "user_profile": 0}
    # Done again after it was finished, it writes everything again, to the same effect.
    before = [repr(OnlineReader(store, VIEWS).read(user)) for user in "abc"]  # repr: NaN equals itself
    assert run(store, tmp_path, date(2024, 1, 2)) == {"recent_events": 3, "listened_history": 3, "user_profile": 0}
    assert [repr(OnlineReader(store, VIEWS).read(user)) for user in "abc"] == before


def test_feasts_own_pull_gives_the_same_lists(store: Any, tmp_path: Path) -> None:
    view = store.get_feature_view("recent_events")
    job = store._get_provider().offline_store.pull_latest_from_table_or_query(
        store.config,
        view.batch_source,
        ["user_id"],
        ["event_id", "ended_at"],
        "known_at",
        None,
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 2, tzinfo=UTC),
    )
    rows = {row["user_id"]: row["event_id"] for row in job.to_arrow().to_pylist()}
    assert rows == {user: [f"{user}0", f"{user}1"] for user in "abc"}
