"""Online writer and reader on SQLite and on a real Redis-protocol server: no lost events, contract order."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import feast
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sequences import behaviours
from sequences.online.live_events import LIVE_FEATURES, decode_live_events
from sequences.online.materialize import materialize
from sequences.online.reader_writer import OnlineReader, OnlineWriter, WriteConflict
from sequences.online.store_rows import OnlineRowReader
from sequences.views import LIVE_SOURCE, SEQUENCE_VIEWS
from tests.support.sequences.event_rows import event_rows, oracle_values, us, write_events
from tests.support.sequences.online_stores import KINDS, opened

VIEWS = {name: replace(view, length=min(view.length, 4)) for name, view in SEQUENCE_VIEWS.items()}
DURATION_MS = 100_000
DAY = 86_400
USERS = ("u1", "u2")
example = itertools.count()


@pytest.fixture(scope="module", params=KINDS)
def short_views(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """A store with views of length 4, and its folder; tests use different users."""
    folder = tmp_path_factory.mktemp("short")
    with opened(request.param, folder, VIEWS) as store:
        yield store, folder


@pytest.fixture(scope="module", params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[feast.FeatureStore]:
    """A store with the real views."""
    with opened(request.param, tmp_path_factory.mktemp("whole"), SEQUENCE_VIEWS) as store:
        yield store


@pytest.fixture
def user() -> str:
    """A user id that no other test uses."""
    return f"someone{next(example)}"


def contract_row(number: int, user: str, **columns: Any) -> dict[str, Any]:
    """A contract row, by default a full play; `second` is the time of its end."""
    row = {
        "event_id": f"e{(number * 7919) % 9973:04d}",
        "user_id": user,
        "sequence_number": number,
        "target_type": "track",
        "target_id": f"t{number}",
        "action": "play",
        "played_ms": 95_000,
        "scene": None,
        "second": number % 17,
    } | columns
    row["played_ms"] = row["played_ms"] if row["action"] == "play" else None
    row["occurred_at"] = row["ended_at"] = us(row["second"])
    return row


def mart_row(row: dict[str, Any]) -> dict[str, Any]:
    """The columns that dbt derives from a contract row, for `event_rows`."""
    duration = DURATION_MS if row["action"] == "play" else None
    ratio = behaviours.played_ratio(row["played_ms"], duration)
    return row | {
        "behaviour": behaviours.load_behaviours().behaviour_of(row["action"], row["played_ms"], duration),
        "played_ratio": None if ratio is None else float(np.float32(ratio)),
    }


def assert_equal_lists(found: Any, expected: dict[str, list[Any]]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        pairs = zip(found[name], values, strict=True)
        assert all(
            a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))
            for a, b in pairs
        ), (name, list(found[name]), values)


def live_ids(store: feast.FeatureStore, user: str) -> list[str]:
    (row,) = OnlineRowReader(store, {LIVE_SOURCE: LIVE_FEATURES}).read([user])
    return [event["event_id"] for event in decode_live_events(row[LIVE_SOURCE])]


event_specs = st.lists(
    st.fixed_dictionaries(
        {
            "user": st.sampled_from(USERS),
            # Few times and numbers, so that most events tie with others.
            "second": st.integers(0, 3),
            "sequence_number": st.integers(0, 2),
            "action": st.sampled_from(["play", "play", "play", "click", "dislike", "block"]),
            "played_ms": st.sampled_from([1_000, 50_000, 95_000]),
            "target_type": st.sampled_from(["track", "artist"]),
            "scene": st.sampled_from([None, "daily"]),
        }
    ),
    min_size=1,
    max_size=20,
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(event_specs=event_specs, data=st.data())
def test_reads_equal_the_oracle_for_any_order_of_reports_landings_and_materializations(
    short_views: tuple[Any, Path], event_specs: list[dict[str, Any]], data: st.DataObject
) -> None:
    store, folder = short_views
    prefix = f"x{next(example)}"
    history = []
    for number, one in enumerate(event_specs):
        target_type = "track" if one["action"] == "play" else one["target_type"]
        event_id = f"{prefix}e{(number * 7919) % 997:03d}"
        columns = {name: one[name] for name in ("second", "sequence_number", "action", "played_ms", "scene")}
        history.append(
            contract_row(number, prefix + one["user"], event_id=event_id, target_type=target_type, **columns)
        )
    writer, reader = OnlineWriter(store, lambda _: DURATION_MS, VIEWS), OnlineReader(store, VIEWS)
    reported: dict[str, dict[str, Any]] = {}
    landed: dict[str, dict[str, Any]] = {}
    # Some events arrive only in a file; the others are reported in any order, some twice.
    filed = data.draw(st.lists(st.sampled_from(history), max_size=5))
    waiting = data.draw(st.permutations([*history, *data.draw(st.lists(st.sampled_from(history), max_size=4))]))
    while waiting or filed:
        count = data.draw(st.integers(1, 6))
        together, waiting = waiting[:count], waiting[count:]
        by_user: dict[str, list[dict[str, Any]]] = {}
        for row in together:
            by_user.setdefault(row["user_id"], []).append(row)
        writer.apply_batch(by_user)
        reported.update({row["event_id"]: row for row in together})
        if data.draw(st.booleans()) or not waiting:
            # A landing may miss events that were reported.
            taken = data.draw(st.lists(st.sampled_from(list(reported.values())), max_size=10)) if reported else []
            landed.update({row["event_id"]: row for row in [*taken, *filed]})
            filed = []
            write_events(folder / "events.parquet", event_rows(map(mart_row, landed.values())))
            materialize(store, date(2024, 1, 2), folder, folder / "state.db", tuple(VIEWS.values()))
        rows = event_rows(map(mart_row, {**landed, **reported}.values()))
        for user in USERS:
            found = reader.read(prefix + user).views
            for view in VIEWS.values():
                assert_equal_lists(found[view.name], oracle_values(rows, view, prefix + user, us(DAY)))


def test_fifty_concurrent_clients_of_one_user_lose_no_event(store: feast.FeatureStore, user: str) -> None:
    writer = OnlineWriter(store, lambda _: DURATION_MS)
    rows = [contract_row(number, user) for number in range(200)]
    with ThreadPoolExecutor(50) as clients:
        applied = list(clients.map(lambda row: writer.apply(user, [row]), rows))
    assert applied == [1] * 200
    expected = sorted(rows, key=lambda row: (row["ended_at"], row["sequence_number"], row["event_id"]))
    history = OnlineReader(store).read(user).views["played_history"]
    assert list(history["event_id"]) == [row["event_id"] for row in expected]


def test_sqlite_reads_are_serialized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    # A read that overlaps another one on the same connection would share its snapshot and
    # miss an event that was acknowledged in between.
    with opened("sqlite", tmp_path, VIEWS) as store:
        reader, read = OnlineReader(store, VIEWS), OnlineRowReader._read_tables
        inside, concurrency = [], []

        def delayed_read(*arguments: Any, **options: Any) -> Any:
            inside.append(1)
            concurrency.append(len(inside))
            time.sleep(0.002)
            found = read(*arguments, **options)
            inside.pop()
            return found

        monkeypatch.setattr(OnlineRowReader, "_read_tables", delayed_read)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(reader.read, [user] * 16))
    assert max(concurrency) == 1


def test_delayed_writer_does_not_overwrite_its_successor(
    store: feast.FeatureStore, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.config.online_store.type == "sqlite":
        pytest.skip("the file is for the writers of one process, and those take turns")
    delayed_writer, successor = (OnlineWriter(store, lambda _: DURATION_MS) for _ in range(2))
    read, others = delayed_writer._live.read, iter(range(2, 4))

    def delayed_read(user_ids: Any) -> Any:
        found = read(user_ids)
        for number in others:  # once: rereading would return the newest state
            successor.apply(user, [contract_row(number, user)])
        return found

    monkeypatch.setattr(delayed_writer._live, "read", delayed_read)
    assert delayed_writer.apply_batch({user: [contract_row(1, user)], f"{user}-other": [contract_row(9, user)]}) == 2
    assert live_ids(store, user) == [contract_row(number, user)["event_id"] for number in (1, 2, 3)]
    assert live_ids(store, f"{user}-other") == [contract_row(9, user)["event_id"]]


def test_persistent_write_conflicts_raise(
    store: feast.FeatureStore, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.config.online_store.type == "sqlite":
        pytest.skip("the file is for the writers of one process, and those take turns")
    one, other = (OnlineWriter(store, lambda _: DURATION_MS) for _ in range(2))
    read, numbers = one._live.read, itertools.count(100)

    def delayed_read(user_ids: Any) -> Any:
        found = read(user_ids)
        other.apply(user, [contract_row(next(numbers), user)])
        return found

    monkeypatch.setattr(one._live, "read", delayed_read)
    with pytest.raises(WriteConflict, match="one writer"):
        one.apply(user, [contract_row(1, user)])


def test_live_part_keeps_only_uncovered_events(short_views: tuple[Any, Path], user: str) -> None:
    store, folder = short_views
    writer = OnlineWriter(store, lambda _: DURATION_MS, VIEWS)
    rows = [contract_row(number, user, second=number) for number in range(8)]
    writer.apply(user, rows[:6])  # six events exceed the views' length of four
    assert live_ids(store, user) == [row["event_id"] for row in rows[2:6]]
    landed = [row for row in rows[:5] if row is not rows[3]]  # one visible event is landed late
    write_events(folder / "events.parquet", event_rows(map(mart_row, landed)))
    materialize(store, date(2024, 1, 2), folder, folder / "state.db", tuple(VIEWS.values()))
    assert live_ids(store, user) == [
        row["event_id"] for row in rows[2:6]
    ]  # only the user's writer changes the live part
    writer.apply(user, rows[:1])
    assert live_ids(store, user) == [rows[3]["event_id"], rows[5]["event_id"]]
    writer.apply(user, rows[6:])
    assert live_ids(store, user) == [row["event_id"] for row in (rows[3], *rows[5:])]
