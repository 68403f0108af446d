"""The online reader on SQLite and on a real Redis-protocol server: materialized rows and later events equal the definition."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_store.sqlite_stores import SqliteEventStore
from event_store.store import Position, StoreUnavailable
from sequences.online.materialization_state import landed_position
from sequences.online.materialize import materialize
from sequences.online.online_stores import online_store_of
from sequences.online.reader import OnlineReader
from sequences.sequence_views import SEQUENCE_VIEWS
from tests.support.progress import sized
from tests.support.sequences.event_rows import EPOCH, at, event_rows, oracle_values, us, write_events
from tests.support.sequences.online_stores import KINDS, killed_at, opened
from tests.support.sequences.reported_events import mart_event, reported_event

VIEWS = {name: replace(view, length=min(view.length, 4)) for name, view in SEQUENCE_VIEWS.items()}
DAY = 86_400
USERS = ("u1", "u2")
ACTIONS = ("play", "play", "play", "click", "dislike", "block", "impression")
example = itertools.count()


@pytest.fixture(scope="module", params=KINDS)
def opened_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Path]]:
    """A store with views of length 4, and its folder; tests use different users."""
    folder = tmp_path_factory.mktemp("short")
    with opened(request.param, folder, VIEWS) as store:
        yield store, folder


class Home:
    """A new event store over an online store, and the marts of what has landed."""

    def __init__(self, store: Any, folder: Path) -> None:
        self.store, self.folder, self.number = store, folder, next(example)
        self.second, self.landed, self.landed_seq = 0.0, dict[str, dict[str, Any]](), 0
        self.materialized: list[list[dict[str, Any]]] = [[]]  # of the last run, and of those that were killed after it
        (folder / str(self.number)).mkdir()
        self.events = SqliteEventStore(folder / str(self.number), lambda: us(self.second))
        store._get_provider().online_store.events = self.events
        self.reader = OnlineReader(store, self.events, VIEWS)

    def user(self, name: str) -> str:
        return f"{name}-{self.number}"

    def report(self, event_id: str, user: str, second: float, **columns: Any) -> None:
        self.events.append([reported_event(f"{event_id}-{self.number}", self.user(user), second, **columns)])

    def position(self) -> Position | None:
        """Up to where the online store has every event."""
        return online_store_of(self.store).read_state(self.store.config).position

    def stored(self) -> list[tuple[int, dict[str, Any]]]:
        """What the event store has."""
        return self.events.read(None, 1000)

    def land(self, through: int, filed: list[dict[str, Any]] = [], *, is_recorded: bool = True) -> None:  # noqa: B006
        """Publish marts of all events up to a number, and of some that no one has reported."""
        self.landed |= {
            event["event_id"]: event for seq, event in self.stored() if seq <= through and event.get("behavior")
        }
        self.landed |= {event["event_id"]: event for event in filed}
        self.landed_seq = max(self.landed_seq, through)
        if is_recorded:
            rows = {"landing_id": ["a"], "event_store": [self.events.id], "event_seq": [self.landed_seq]}
            pq.write_table(pa.table(rows), self.folder / "landings.parquet")
        write_events(self.folder / "events.parquet", event_rows(map(mart_event, self.landed.values())))

    def restore(self, last: int) -> None:
        """Restore a backup of the event store, whose numbers are given again."""
        with self.events.writing() as database:
            database.execute("delete from events where seq > ?", (last,))
            database.execute("update sqlite_sequence set seq = ?", (last,))
        self.events.renew_id()
        self.landed_seq = 0

    def materialize(self, day: int, **options: Any) -> None:
        as_of = EPOCH.date() + timedelta(days=day)
        rows = event_rows(map(mart_event, self.landed.values()))
        known = {row["event_id"] for row in rows if row["known_at"] < at(day * DAY)}
        self.materialized.append([event for event in self.landed.values() if event["event_id"] in known])
        is_written = materialize(self.store, as_of, self.folder, tuple(VIEWS.values()), **options) is not None
        self.materialized = self.materialized[-1:] if is_written else self.materialized[:-1]

    def check(self) -> None:
        for user in map(self.user, USERS):
            found = self.reader.read(user).views
            for name, view in VIEWS.items():
                assert any(equal(found[name], values) for values in self.expected(user, view)), (user, name)

    def expected(self, user: str, view: Any) -> Iterator[dict[str, list[Any]]]:
        for materialized in self.materialized:
            events = {event["event_id"]: event for event in materialized} | {
                e["event_id"]: e for _, e in self.stored() if e.get("behavior")
            }
            yield oracle_values(event_rows(map(mart_event, events.values())), view, user, us(100 * DAY))


def equal(found: Any, expected: dict[str, list[Any]]) -> bool:
    """Whether two views are equal; NaN equals itself."""
    return found.keys() == expected.keys() and all(
        len(found[name]) == len(values)
        and all(a == b or (a != a and b != b) for a, b in zip(found[name], values, strict=True))
        for name, values in expected.items()
    )


reports = st.fixed_dictionaries(
    {
        "user": st.sampled_from(USERS),
        # Few numbers, so that many events tie with others; a client's clock may be 5 minutes ahead.
        "second": st.sampled_from([300, 300, 0, 0, -3600, -30_000, -2 * DAY]),
        "sequence_number": st.integers(0, 2),
        "action": st.sampled_from(ACTIONS),
        "played_ms": st.sampled_from([1_000, 50_000, 95_000, 33_333]),
        "target_type": st.sampled_from(["track", "artist"]),
        "scene": st.sampled_from([None, "daily"]),
    }
)


@settings(
    max_examples=sized(100, 15),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_reads_equal_the_definition_whatever_happens(opened_store: tuple[Any, Path], data: st.DataObject) -> None:
    home, numbers = Home(*opened_store), itertools.count()
    home.second = 4 * DAY
    others = ["restore", "remove", "kill", "kill", "run", "run"]
    for step in data.draw(
        st.lists(st.sampled_from(["report and land", "report", "run", *others]), min_size=6, max_size=14)
    ):
        home.second += data.draw(st.sampled_from([0, 600, 20_000, DAY, DAY]))
        day = int(home.second // DAY) + data.draw(st.sampled_from([0, 0, 1, -1, -2]))
        if step.startswith("report"):
            for one in data.draw(st.lists(reports, min_size=1, max_size=5)):
                name = f"e{(next(numbers) * 7919) % 997:03d}"
                target = "track" if one["action"] == "play" else one["target_type"]
                home.report(name, **one | {"target_type": target, "second": home.second + one["second"]})
        if step == "report and land":
            last = max((seq for seq, _ in home.stored()), default=0)
            filed = [reported_event(f"f{next(numbers)}-{home.number}", home.user("u1"), home.second)]
            through = data.draw(st.sampled_from([last, last, last // 2]))
            home.land(through, filed, is_recorded=data.draw(st.sampled_from([True, True, False])))
        elif step == "run":
            home.materialize(day, is_forced=data.draw(st.booleans()))
        elif step == "kill":
            with killed_at(data.draw(st.integers(2, 5))):
                home.materialize(day, is_forced=True)
        elif step == "restore":
            home.restore(data.draw(st.integers(0, max((seq for seq, _ in home.stored()), default=0))))
        elif step == "remove" and (position := home.position()) is not None:
            home.events.remove(position)
        home.check()


def test_rows_that_are_written_during_a_read(opened_store: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(*opened_store)
    for number in range(3):
        home.report(f"e{number}", "u1", number)
    home.second = 3 * DAY
    home.land(3)
    of_user, days = home.events.of_user, iter((1,))

    def run_before(*arguments: Any) -> Any:
        for day in days:
            home.materialize(day, is_forced=True)
        return of_user(*arguments)

    monkeypatch.setattr(home.events, "of_user", run_before)
    home.check()
    assert home.position() == Position(home.events.id, 3)
    home.check()


def test_version_and_position_of_a_read(opened_store: tuple[Any, Path]) -> None:
    home = Home(*opened_store)
    user = home.user("u1")
    versions = [home.reader.read(user).version]
    home.report("a", "u1", 1)
    home.report("b", "u2", 1)
    home.second = 3 * DAY
    features = home.reader.read(user)
    assert features.applied == (home.events.id, 1)
    versions.append(features.version)
    assert home.reader.read(user).version == features.version
    home.land(2)
    home.materialize(2, is_forced=True)
    features = home.reader.read(user)
    assert features.applied == (home.events.id, 2)
    versions.append(features.version)
    home.report("c", "u1", 5)
    versions.append(home.reader.read(user).version)
    home.materialize(2, is_forced=True)
    features = home.reader.read(user)
    assert features.version == versions[-1], "the features are equal"
    rows = [len(home.reader.read(user, known).views["recent_events"]["track_id"]) for known in (None, features.version)]
    assert rows[0] > rows[1], "materialized rows of a known version are not read"
    assert [seq for seq, _ in home.events.read(None, 9)] == [3], (
        "what the run before has written leaves the event store"
    )
    home.events.renew_id()
    versions.append(home.reader.read(user).version)
    assert len({*versions}) == len(versions)


def test_one_of_the_stores_fails(opened_store: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(*opened_store)
    user = home.user("u1")
    home.report("a", "u1", 1, action="block")
    home.second = 3 * DAY
    home.land(1)
    home.materialize(2, is_forced=True)
    home.report("b", "u1", 2, action="block")

    def ids(features: Any) -> list[str]:
        return [one.split("-")[0] for one in features["exclusions"]["event_id"]]

    assert ids(home.reader.read(user).views) == ["a", "b"]
    features = home.reader.read_events(user)
    assert (ids(features.views), features.views["user_profile"]) == (["a", "b"], {"plays_total": []})
    assert features.applied == (home.events.id, 2)
    monkeypatch.setattr(home.events, "of_user", mock.Mock(side_effect=StoreUnavailable("the disk is full")))
    features = home.reader.read(user)
    assert (ids(features.views), str(features.events_error)) == (["a"], "the disk is full")


def test_position_needs_a_complete_publication(tmp_path: Path) -> None:
    assert landed_position(tmp_path, "one") == 0
    rows = {"event_store": ["one", "one", "other", None], "event_seq": [3, 7, 9, None]}
    pq.write_table(pa.table(rows), tmp_path / "landings.parquet")
    write_events(tmp_path / "events.parquet", [])
    assert [landed_position(tmp_path, store) for store in ("one", "other", "none")] == [7, 9, 0]
    pq.write_table(pa.table(rows), tmp_path / "landings.parquet")
    assert landed_position(tmp_path, "one") == 0, "the events of this build were not published"
