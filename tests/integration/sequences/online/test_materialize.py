"""Materialization: which rows it writes, resuming killed runs, and equality with Feast's own command."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from sequences.online.materialization_state import STATE_VIEW, StoredState
from sequences.online.materialize import materialize
from sequences.online.online_stores import SequenceStore, online_store_of
from sequences.online.reader import OnlineReader
from sequences.sequence_views import SEQUENCE_VIEWS
from tests.support.sequences.event_rows import EPOCH, event_rows, write_events
from tests.support.sequences.online_stores import KINDS, opened

VIEWS = {name: SEQUENCE_VIEWS[name] for name in ("recent_events", "played_history")}
FIRST, SECOND = date(2024, 1, 2), date(2024, 1, 3)


def events(users: str = "abc", seconds: tuple[int, ...] = (10, 20, 90_000)) -> list[dict[str, Any]]:
    """Three plays per user, the last one on the second day."""
    return [
        {"event_id": f"{user}{n}", "user_id": user, "second": second, "sequence_number": n}
        for user in users
        for n, second in enumerate(seconds)
    ]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with opened(request.param, tmp_path, VIEWS) as store:
        write_events(tmp_path / "events.parquet", event_rows(events()))
        yield store


def run(store: Any, folder: Path, as_of: date, **options: Any) -> dict[str, int] | None:
    return materialize(store, as_of, folder, tuple(VIEWS.values()), **options)


def everything(store: Any, users: str = "abc") -> str:
    rows = {user: OnlineReader(store, views=VIEWS).read(user).views for user in users}
    return repr(
        {user: {name: dict(row) for name, row in views.items()} for user, views in rows.items()}
    )  # NaN equals itself


def state(store: Any) -> StoredState:
    return online_store_of(store).read_state(store.config)


def ids(store: Any, user: str) -> list[str]:
    return list(OnlineReader(store, views=VIEWS).read(user).views["recent_events"]["event_id"])


def test_new_or_emptied_store_is_filled_completely(store: Any, tmp_path: Path) -> None:
    run(store, tmp_path, FIRST)
    before = everything(store)
    online = store._get_provider().online_store
    for view in (*map(store.get_feature_view, (*VIEWS, "user_profile")), STATE_VIEW):
        if online.kind == "redis":
            online.delete_table(store.config, view)
        else:
            online._get_conn(store.config).execute(f"delete from tests_{view.name}")
            online._get_conn(store.config).commit()
    assert ids(store, "a") == []
    assert run(store, tmp_path, FIRST) == {"recent_events": 3, "played_history": 3, "user_profile": 0}
    assert everything(store) == before


def test_threads_open_a_store_at_once(store: Any) -> None:
    with ThreadPoolExecutor(4) as threads:
        for _ in range(200):
            assert {*threads.map(type(online_store_of(store))().read_state, [store.config] * 4)} == {state(store)}


def test_earlier_day_is_ignored_unless_forced(store: Any, tmp_path: Path) -> None:
    run(store, tmp_path, SECOND)
    assert run(store, tmp_path, FIRST) is None
    assert ids(store, "a") == ["a0", "a1", "a2"]
    run(store, tmp_path, FIRST, is_forced=True)
    assert ids(store, "a") == ["a0", "a1"]


def test_rows_that_feast_writes_are_noticed(store: Any, tmp_path: Path) -> None:
    run(store, tmp_path, SECOND)
    before, store.config.materialization_config.pull_latest_features = everything(store), True
    assert state(store).position is not None
    store.materialize(EPOCH, datetime(2024, 1, 2), feature_views=["recent_events"])
    assert ids(store, "a") == ["a0", "a1"]
    assert state(store).position is None, "readers would take these rows for complete"
    run(store, tmp_path, SECOND)
    assert everything(store) == before


def test_feast_writes_while_a_run_does(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, calls = SequenceStore.write_rows, []

    def write_between(self: SequenceStore, config: Any, view: Any, *arguments: Any) -> None:
        if view.name == "played_history" and not calls:
            calls.append(view)
            store.config.materialization_config.pull_latest_features = True
            store.materialize(EPOCH, datetime(2024, 1, 2), feature_views=["played_history"])
        write(self, config, view, *arguments)

    monkeypatch.setattr(SequenceStore, "write_rows", write_between)
    run(store, tmp_path, SECOND)
    assert calls and (state(store).position, state(store).source) == (None, "")
