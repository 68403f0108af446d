"""Materialization: which rows it writes, resuming killed runs, and equality with Feast's own command."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from sequences.online.batch_writer import BatchWriter
from sequences.online.materialization_state import STATE_VIEW, read_content
from sequences.online.materialize import materialize
from sequences.online.reader_writer import OnlineReader
from sequences.online.store_rows import is_redis, to_list_value, write_rows
from sequences.views import SEQUENCE_VIEWS
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


def everything(store: Any, users: str = "abc") -> dict[str, str]:
    return {user: repr(OnlineReader(store, views=VIEWS).read(user).views) for user in users}  # repr: NaN equals itself


def ids(store: Any, user: str) -> list[str]:
    return list(OnlineReader(store, views=VIEWS).read(user).views["recent_events"]["event_id"])


def test_only_changed_rows_are_written(store: Any, tmp_path: Path) -> None:
    assert run(store, tmp_path, FIRST) == {"recent_events": 3, "played_history": 3, "user_profile": 0}
    assert run(store, tmp_path, FIRST) == {"recent_events": 0, "played_history": 0, "user_profile": 0}
    like = {"event_id": "b9", "user_id": "b", "second": 15, "sequence_number": 9, "behaviour": "like"}
    write_events(tmp_path / "events.parquet", event_rows([*events(), like]))
    assert run(store, tmp_path, FIRST) == {"recent_events": 1, "played_history": 0, "user_profile": 0}
    assert ids(store, "b") == ["b0", "b9", "b1"]


def test_new_or_emptied_store_is_filled_completely(store: Any, tmp_path: Path) -> None:
    run(store, tmp_path, FIRST)
    before = everything(store)
    online = store._get_provider().online_store
    for view in (*map(store.get_feature_view, (*VIEWS, "user_profile")), STATE_VIEW):
        if is_redis(store):
            online.delete_table(store.config, view)
        else:
            online._get_conn(store.config).execute(f"delete from tests_{view.name}")
            online._get_conn(store.config).commit()
    assert ids(store, "a") == []
    assert run(store, tmp_path, FIRST) == {"recent_events": 3, "played_history": 3, "user_profile": 0}
    assert everything(store) == before


def test_earlier_day_is_ignored_unless_forced(store: Any, tmp_path: Path) -> None:
    run(store, tmp_path, SECOND)
    assert run(store, tmp_path, FIRST) is None
    assert ids(store, "a") == ["a0", "a1", "a2"]
    run(store, tmp_path, FIRST, is_forced=True)
    assert ids(store, "a") == ["a0", "a1"]


def test_rows_that_feast_writes_are_noticed(store: Any, tmp_path: Path) -> None:
    run(store, tmp_path, SECOND)
    before, store.config.materialization_config.pull_latest_features = everything(store), True
    assert read_content(store).position is not None
    store.materialize(EPOCH, datetime(2024, 1, 2), feature_views=["recent_events"])
    assert ids(store, "a") == ["a0", "a1"]
    assert read_content(store).position is None, "readers would take these rows for complete"
    assert run(store, tmp_path, SECOND) == {"recent_events": 3, "played_history": 0, "user_profile": 0}
    assert everything(store) == before


def test_feast_writes_while_a_run_does(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.config.materialization_config.pull_latest_features = True
    write = BatchWriter._write

    def write_between(self: BatchWriter, *arguments: Any) -> None:
        store.materialize(EPOCH, datetime(2024, 1, 2), feature_views=["played_history"])
        write(self, *arguments)

    monkeypatch.setattr(BatchWriter, "_write", write_between)
    run(store, tmp_path, SECOND)
    assert (read_content(store).position, read_content(store).source) == (None, None)


def test_force_repairs_rows_that_nobody_knows_of(store: Any, tmp_path: Path) -> None:
    run(store, tmp_path, SECOND)
    before = everything(store)
    view = store.get_feature_view("recent_events")
    write_rows(store, view, [("a", {"event_id": to_list_value("string", ["x"])}, datetime.now(UTC))])
    assert everything(store) != before
    assert run(store, tmp_path, SECOND, is_forced=True) == {"recent_events": 1, "played_history": 0, "user_profile": 0}
    assert everything(store) == before
