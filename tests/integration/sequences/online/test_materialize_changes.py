"""Materialization of changed users only: after every day the store equals the definition of the views."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequences.online.materialize import _Writer, materialize
from sequences.online.reader import OnlineReader
from sequences.sequence_views import SEQUENCE_VIEWS
from tests.support.sequences.event_rows import EPOCH, event_rows, oracle_values, us, write_events
from tests.support.sequences.online_stores import KINDS, killed_at, opened

VIEWS = {
    name: replace(SEQUENCE_VIEWS[name], length=length)
    for name, length in (("recent_events", 5), ("played_history", 12), ("exclusions", 3))
}
PROFILES = pa.schema([("user_id", pa.string()), ("known_at", pa.timestamp("us")), ("plays_total", pa.int64())])
CHANGES = pa.schema([("user_id", pa.string()), ("from_time", pa.timestamp("us")), ("build", pa.int64())])
USERS = "abcdef"
DAY_S = 86_400
BEHAVIORS = ("full_play", "play", "skip", "like", "dislike", "click")


@pytest.fixture(autouse=True)
def was_whole(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[bool]]:
    """Whether each run has read everything."""
    writer = mock.Mock(wraps=_Writer)
    monkeypatch.setattr("sequences.online.materialize._Writer", writer)
    return lambda: [call.args[1] is None for call in writer.call_args_list]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with opened(request.param, tmp_path, VIEWS) as store:
        yield store


class Home:
    """Marts of some days, and the users that each build changed."""

    def __init__(self, marts: Path) -> None:
        self.marts, self.random = marts, Random(3)
        self.events: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.profiles: list[dict[str, Any]] = []
        self.changes: list[dict[str, Any]] = []
        self.build = 0

    def add(self, user: str, second: float) -> None:
        """Add an event."""
        behavior, number = self.random.choice(BEHAVIORS), len(self.events)
        values = {
            "behavior": behavior,
            "played_ratio": self.random.choice([None, 0.5]),
            "target_id": f"t{number % 4}",
        }
        self.events.append(
            {"event_id": f"{user}{number}", "user_id": user, "second": second, "sequence_number": number} | values
        )

    def add_day(self, day: int, users: str) -> None:
        """Add the events of a day, some of them in its last microsecond, so that they are known on the next day."""
        for user in users:
            for _ in range(self.random.randint(1, 4)):
                last = (day + 1) * DAY_S - 1e-6
                self.add(user, self.random.choice([last, day * DAY_S + self.random.randrange(DAY_S)]))

    def publish(self, *, is_full: bool = False) -> None:
        """Publish the events and the profiles of all days that have ended, and the users with other rows than before."""
        before = [*self.rows, *self.profiles]
        self.rows, self.profiles, self.build = event_rows(self.events), self._count_plays(), self.build + 1
        after = [*self.rows, *self.profiles]
        changed = {row["user_id"] for row in after if is_full or row not in before}
        changed |= {row["user_id"] for row in before if row not in after and not is_full}
        self.changes = [] if is_full else self.changes
        self.changes += [{"user_id": user, "from_time": datetime.min, "build": self.build} for user in sorted(changed)]
        write_events(self.marts / "events.parquet", self.rows)
        pq.write_table(pa.Table.from_pylist(self.profiles, PROFILES), self.marts / "user_profiles.parquet")
        pq.write_table(pa.Table.from_pylist(self.changes, CHANGES), self.marts / "changed_users.parquet")

    def _count_plays(self) -> list[dict[str, Any]]:
        plays = [(event["user_id"], int(event["second"]) // DAY_S) for event in self.events]
        return [
            {
                "user_id": user,
                "known_at": EPOCH + timedelta(days=day + 1),
                "plays_total": sum(other == user and number <= day for other, number in plays),
            }
            for user, day in sorted(set(plays))
        ]


def run(store: Any, folder: Path, day: int, **options: Any) -> int:
    """Materialize what was known at the end of a day; returns the number of written rows."""
    as_of = (EPOCH + timedelta(days=day + 1)).date()
    views = options.pop("views", VIEWS)
    return sum((materialize(store, as_of, folder, tuple(views.values()), **options) or {}).values())


@pytest.fixture
def home(store: Any, tmp_path: Path) -> Home:
    """Marts of the first day, which are materialized."""
    home = Home(tmp_path)
    home.add_day(0, USERS)
    home.publish(is_full=True)
    run(store, tmp_path, 0)
    return home


def run_and_compare(store: Any, home: Home, day: int, views: Any = VIEWS, **options: Any) -> None:
    """Materialize a day; every row then equals its definition."""
    run(store, home.marts, day, views=views, **options)
    midnight = (day + 1) * DAY_S
    reader = OnlineReader(store, views=views)
    for user in USERS:
        row = reader.read(user).views
        for name, view in views.items():
            expected = oracle_values(home.rows, view, user, us(midnight))
            found = {attribute: list(row[name][attribute]) for attribute in expected}
            assert repr(found) == repr(expected), (user, name)
        known = [p for p in home.profiles if p["user_id"] == user and p["known_at"] <= EPOCH + timedelta(days=day + 1)]
        assert list(row["user_profile"]["plays_total"]) == [p["plays_total"] for p in known[-1:]], user


def test_days_one_after_the_other_equal_the_definition(
    store: Any, home: Home, tmp_path: Path, was_whole: Callable[[], list[bool]]
) -> None:
    for day in range(1, 7):
        home.add_day(day, "".join(home.random.sample(USERS, 2)))
        if day == 2:
            home.add("a", 30.0)  # a late event
        if day == 3:  # a late copy with another time replaces an event
            home.events[0] = home.events[0] | {"second": DAY_S * 2 + 5}
        if day == 4:  # an erased user, and an erased event
            home.events = [event for event in home.events if event["user_id"] != "b"]
            home.events.remove(next(event for event in home.events if event["user_id"] == "c"))
        home.publish()
        if day == 5:  # two builds between two materializations
            home.add_day(day, "ab")
            home.publish()
        run_and_compare(store, home, day)
    assert run(store, tmp_path, 6) == 0
    assert was_whole() == [True] + 7 * [False]


def test_events_known_after_the_day_are_read_by_the_next_run(
    store: Any, tmp_path: Path, was_whole: Callable[[], list[bool]]
) -> None:
    home = Home(tmp_path)
    for day in range(3):
        home.add_day(day, USERS)
    home.publish(is_full=True)
    for day in range(3):  # days that were built together
        run_and_compare(store, home, day)
    run_and_compare(store, home, 1, is_forced=True)
    assert was_whole() == [True, False, False, True], "an earlier day reads everything"


def test_other_definition_or_full_build_reads_everything(
    store: Any, home: Home, was_whole: Callable[[], list[bool]]
) -> None:
    home.add_day(1, "ab")
    home.publish()
    longer = VIEWS | {"played_history": replace(VIEWS["played_history"], length=20)}
    run_and_compare(store, home, 1, longer)
    home.events = [event for event in home.events if event["user_id"] != "a"]
    home.publish(is_full=True)
    run_and_compare(store, home, 1, longer)
    assert was_whole() == [True] * 3


@pytest.mark.parametrize("kill_at", [2, 5])
def test_run_that_was_killed_reads_everything(
    store: Any, home: Home, tmp_path: Path, kill_at: int, was_whole: Callable[[], list[bool]]
) -> None:
    home.add_day(1, USERS)
    home.publish()
    with killed_at(kill_at):
        run(store, tmp_path, 1)
    run_and_compare(store, home, 1)
    home.add_day(2, "cd")
    home.publish()
    run_and_compare(store, home, 2)
    assert was_whole() == [True, False, True, False]
