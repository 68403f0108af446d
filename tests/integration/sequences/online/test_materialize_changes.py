"""Materialization of changed users only: after every day the store equals the definition of the views."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from sequences.online.batch_writer import BatchWriter
from sequences.online.materialize import EventRows, ProfileRows, materialize
from sequences.online.reader_writer import OnlineReader
from sequences.views import SEQUENCE_VIEWS
from storage.mart_changes import apply_changes, read_published
from tests.support.published_changes import publish_changes, publish_whole
from tests.support.sequences.event_rows import EPOCH, EVENT_SCHEMA, event_rows, oracle_values, us
from tests.support.sequences.online_stores import KINDS, opened

VIEWS = {
    name: replace(SEQUENCE_VIEWS[name], length=length)
    for name, length in (("recent_events", 5), ("played_history", 12), ("exclusions", 3))
}
PROFILES = pa.schema([("user_id", pa.string()), ("known_at", pa.timestamp("us")), ("plays_total", pa.int64())])
EVENT_KEY = PROFILE_KEY = ("user_id", "known_at")
USERS = "abcdef"
DAY_S = 86_400
BEHAVIOURS = ("full_play", "play", "skip", "like", "dislike", "click")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with opened(request.param, tmp_path, VIEWS) as store:
        yield store


@pytest.fixture
def is_whole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the marts that were read whole."""
    names: list[str] = []
    for part in (EventRows, ProfileRows):
        original = part.write_all

        def write_all(self: Any, path: Path, original: Any = original) -> None:
            names.append(self.mart)
            original(self, path)

        monkeypatch.setattr(part, "write_all", write_all)
    return names


class Home:
    """Marts of some days, published whole first and by their changes then."""

    def __init__(self, marts: Path) -> None:
        self.marts, self.random = marts, Random(3)
        self.events: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.profiles: list[dict[str, Any]] = []
        self.version = 10

    def add(self, user: str, second: float) -> None:
        """Add an event."""
        behaviour, number = self.random.choice(BEHAVIOURS), len(self.events)
        values = {
            "behaviour": behaviour,
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

    def publish(self) -> None:
        """Publish the events and the profiles of all days that have ended."""
        rows, profiles = event_rows(self.events), self._count_plays()
        parts = (("events", self.rows, rows, EVENT_SCHEMA, EVENT_KEY),
                 ("user_profiles", self.profiles, profiles, PROFILES, PROFILE_KEY))  # fmt: skip
        for name, old, new, schema, key in parts:
            if self.version == 10:
                publish_whole(self.marts, name, new, schema, str(self.version))
            else:
                publish_changes(self.marts, name, old, new, schema, key, str(self.version))
        self.rows, self.profiles, self.version = rows, profiles, self.version + 1

    def _count_plays(self) -> list[dict[str, Any]]:
        days = sorted({(event["user_id"], int(event["second"]) // DAY_S) for event in self.events})
        plays = [(event["user_id"], int(event["second"]) // DAY_S) for event in self.events]
        return [
            {
                "user_id": user,
                "known_at": EPOCH + timedelta(days=day + 1),
                "plays_total": sum(other == user and number <= day for other, number in plays),
            }
            for user, day in days
        ]


def run(store: Any, folder: Path, day: int, **options: Any) -> dict[str, int]:
    """Materialize what was known at the end of a day."""
    as_of = (EPOCH + timedelta(days=day + 1)).date()
    views = options.pop("views", VIEWS)
    return materialize(store, as_of, folder, tuple(views.values()), **options) or {}


@pytest.fixture
def home(store: Any, tmp_path: Path, is_whole: list[str]) -> Home:
    """Marts of the first day, which are materialized."""
    home = Home(tmp_path)
    home.add_day(0, USERS)
    home.publish()
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
    store: Any, home: Home, tmp_path: Path, is_whole: list[str]
) -> None:
    assert is_whole == ["events", "user_profiles"]
    for day in range(1, 7):
        home.add_day(day, "".join(home.random.sample(USERS, 4)))
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
        if day % 2:
            apply_changes(tmp_path)
        run_and_compare(store, home, day)
    assert is_whole == ["events", "user_profiles"], "later days read changes only"
    assert sum(run(store, tmp_path, 6).values()) == 0


def test_events_known_after_the_day_are_read_by_the_next_run(store: Any, tmp_path: Path, is_whole: list[str]) -> None:
    home = Home(tmp_path)
    for day in range(3):
        home.add_day(day, USERS)
    home.publish()
    for day in range(3):  # days that were built together
        run_and_compare(store, home, day)
    assert is_whole == ["events", "user_profiles"]
    run_and_compare(store, home, 1, is_forced=True)
    assert is_whole == ["events", "user_profiles"] * 2, "an earlier day reads everything"


def test_other_definition_or_rebuilt_mart_reads_everything(
    store: Any, home: Home, tmp_path: Path, is_whole: list[str]
) -> None:
    home.add_day(1, "ab")
    home.publish()
    longer = VIEWS | {"played_history": replace(VIEWS["played_history"], length=20)}
    run_and_compare(store, home, 1, longer)
    assert is_whole == ["events", "user_profiles"] * 2
    home.version, home.events = 10, [event for event in home.events if event["user_id"] != "a"]
    home.publish()  # whole
    (tmp_path / "changes").rename(tmp_path / "old")
    home.version = 20
    publish_whole(tmp_path, "events", home.rows, EVENT_SCHEMA, "20")
    publish_whole(tmp_path, "user_profiles", home.profiles, PROFILES, "20")
    run_and_compare(store, home, 1, longer)
    assert is_whole == ["events", "user_profiles"] * 3


@pytest.mark.parametrize("kill_at", [1, 4])
def test_run_that_was_killed_reads_everything(
    store: Any, home: Home, tmp_path: Path, kill_at: int, is_whole: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.add_day(1, USERS)
    home.publish()
    child = os.fork()
    if not child:
        _materialize_until_killed(store, tmp_path, kill_at)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    run_and_compare(store, home, 1)
    assert is_whole == ["events", "user_profiles"] * 2
    home.add_day(2, "cd")
    home.publish()
    monkeypatch.setattr("sequences.online.materialize.APPENDED_EVENTS_PER_CHUNK", 1)
    run_and_compare(store, home, 2)
    assert is_whole == ["events", "user_profiles"] * 2
    assert read_published(tmp_path, "events").pending, "changes were not applied"


def _materialize_until_killed(store: Any, folder: Path, kill_at: int) -> None:
    original, calls = BatchWriter._write, []

    def write(self: BatchWriter, *arguments: Any) -> None:
        original(self, *arguments)
        calls.append(arguments)
        if len(calls) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    BatchWriter._write = write  # type: ignore[method-assign,assignment]
    try:
        run(store, folder, 1)
    finally:
        os._exit(1)
