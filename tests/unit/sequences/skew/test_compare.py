"""Classification of online/offline differences, case by case on a hand-made history."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from config.settings import Settings
from event_store.opened import open_event_store
from sequences.online.materialization_state import MATERIALIZATION_LOG
from sequences.skew import feature_log
from sequences.skew.compare import SkewReport, compare_requests, count_values
from sequences.skew.feature_log import LoggedRequest, nan_to_none
from sequences.views import SEQUENCE_VIEWS
from tests.support.recorded import recorded_event
from tests.support.sequences.event_rows import EPOCH_US, at, event_rows, oracle_values, us, write_events
from tests.support.sequences.feast_stores import sqlite_store

HOUR, DAY = 3600, 86_400


def play(event_id: str, second: float, **more: Any) -> dict[str, Any]:
    row = {"event_id": event_id, "user_id": "u", "second": second, "sequence_number": 0, "target_id": "t1"}
    return row | {"played_ms": 95_000, "played_ratio": 0.75, "behaviour": "full_play"} | more


BATCH = [play("b1", 0.5 * DAY), play("b2", 0.9 * DAY, target_id="t2", played_ratio=None, behaviour="play")]
LIVE = [play("l1", DAY + 1 * HOUR), play("l2", DAY + 2 * HOUR, target_id="t2"), play("l3", DAY + 3 * HOUR)]
NOON = DAY + 12 * HOUR
PROFILES = [("u", at(DAY), 2), ("u", at(2 * DAY), 5)]


class World:
    """A home in which the first day's events were landed and materialized at 1:00, and the second day's were reported."""

    def __init__(self, home: Path) -> None:
        self.home, self.rows = home, event_rows([*BATCH, *LIVE])
        self.marts = home / "marts"
        write_events(self.marts / "events.parquet", self.rows)
        names = ["user_id", "known_at", "plays_total"]
        columns = [pa.array([row[n] for row in PROFILES]) for n in range(3)]
        pq.write_table(pa.table(columns, names=names), self.marts / "user_profiles.parquet")
        tracks = pa.table({"track_id": ["t1", "t2"], "is_duration_estimated": [False, True]})
        pq.write_table(tracks, self.marts / "tracks.parquet")
        self.land("first", BATCH, DAY + 0.5 * HOUR)
        self.land("second", LIVE, 2 * DAY + 0.5 * HOUR)
        self.events = open_event_store(Settings(home=home))
        self.report([event["event_id"] for event in LIVE])
        (home / "feast").mkdir()
        self.materialized(us(DAY), us(DAY + 0.8 * HOUR), us(DAY + HOUR))
        self.store = sqlite_store(self.marts, SEQUENCE_VIEWS)

    def land(self, name: str, events: list[dict[str, Any]], second: float) -> None:
        folder = self.home / "landing" / "listening_events" / "dt=2024-01-01"
        folder.mkdir(parents=True, exist_ok=True)
        table = pa.table({"event_id": [e["event_id"] for e in events], "user_id": ["u"] * len(events)})
        pq.write_table(table, folder / f"{name}.parquet")
        os.utime(folder / f"{name}.parquet", (us(second) / 1e6, us(second) / 1e6))

    def report(self, event_ids: list[str]) -> None:
        """Add these events to the store, numbered from 1."""
        self.events.append([recorded_event(0, "u", event_id=event_id) for event_id in event_ids])

    def materialized(self, as_of_us: int, events_us: int, finished_us: int) -> None:
        with (self.home / "feast" / MATERIALIZATION_LOG).open("a") as file:
            file.write(json.dumps({"as_of_us": as_of_us, "events_us": events_us, "finished_us": finished_us}) + "\n")

    def request(
        self, second: float, *, without: tuple[str, ...] = (), applied: tuple[str, int] | int | None = 3
    ) -> Any:
        """A request that read all events except `without`."""
        rows = [row for row in self.rows if row["event_id"] not in without]
        views = {}
        for name, view in SEQUENCE_VIEWS.items():
            values = oracle_values(rows, view, "u", us(second))
            views[name] = {one: nan_to_none(one, of_one) for one, of_one in values.items()}
        profile: dict[str, float | None] = {"user_profile__plays_total": 2}
        position = (self.events.id, applied) if isinstance(applied, int) else applied
        return LoggedRequest("q", "u", us(second), "r", position, views, profile)

    def compare(self, *requests: LoggedRequest) -> SkewReport:
        return compare_requests(self.store, self.events, requests, self.marts, self.home)


VALUES_PER_PLAY = sum(len(view.attributes) for view in SEQUENCE_VIEWS.values() if view.matches("full_play", "track"))
"""Number of values of one full play, over all views that contain it."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.events.close()


def test_equal_requests_have_no_skew_and_all_values_are_counted(world: World) -> None:
    request = world.request(NOON)
    found = world.compare(request, request)
    assert (found.requests, found.compared, found.unequal, found.late) == (2, 2, 0, 0)
    assert found.values == 2 * (5 * VALUES_PER_PLAY + 1) == 2 * count_values(request)


@pytest.mark.parametrize(
    ("asked", "changes", "expected"),
    [
        ({"without": ("l2", "l3"), "applied": 1}, {}, {"late": 1}),
        ({"without": ("l1", "l2", "l3"), "applied": None}, {}, {"late": 1}),
        ({"without": ("l2", "l3"), "applied": 2}, {}, {"late": 1, "unequal": 1}),
        ({"without": ("l3",), "applied": 1}, {}, {"late": 1}),  # read although it was applied later
        ({}, {"at_us": us(DAY + 2.5 * HOUR)}, {"early": 1}),
        # Before the first materialization.
        (
            {"second": DAY + 0.2 * HOUR, "without": ("b1", "b2"), "applied": None},
            {"profile": {"user_profile__plays_total": None}},
            {"late": 1, "stale": 1},
        ),
        ({}, {"views": {}, "profile": {}, "is_read": False}, {"unread": 1, "compared": 0}),
        ({}, {"profile": {"user_profile__plays_total": 5}}, {"unequal": 1}),
        ({}, {"profile": {"user_profile__plays_total": None}}, {"unequal": 1}),
        ({}, {"profile": {"user_profile__plays_total": 3}}, {"unequal": 1}),
    ],
)
def test_a_request_is_classified(
    world: World, asked: dict[str, Any], changes: dict[str, Any], expected: dict[str, int]
) -> None:
    found = world.compare(replace(world.request(**{"second": NOON} | asked), **changes))
    names = ("requests", "compared", "unread", "unequal", "late", "early", "stale")
    counts = {name: min(getattr(found, name), 1) for name in names}
    assert counts == dict.fromkeys(names, 0) | {"requests": 1, "compared": 1} | expected


def test_positions_of_another_store_say_nothing(world: World) -> None:
    request = world.request(NOON, without=("l3",), applied=("store before a restore", 300))
    assert (world.compare(request).unequal, world.compare(request).late) == (0, 1)


def test_event_from_a_file_is_late_until_it_is_materialized(world: World) -> None:
    world.events.erase(["u"])
    world.report(["l2", "l3"])  # l1 arrived in a file, at the end of its day
    assert world.compare(world.request(NOON, without=("l1",))).unequal == 0
    skewed = world.compare(world.request(NOON, without=("b2",)))
    assert skewed.unequal > 0 and skewed.late == 0
    world.land("first", BATCH, DAY + 2 * HOUR)  # after the materialized event table was published
    assert world.compare(world.request(NOON, without=("b2",))).unequal == 0


def test_profile_is_stale_until_the_next_materialization_and_skew_afterwards(world: World) -> None:
    yesterdays = world.request(2 * DAY + 0.9 * HOUR)
    assert world.compare(yesterdays).stale == 1
    world.materialized(us(2 * DAY), us(2 * DAY + 0.6 * HOUR), us(2 * DAY + 0.8 * HOUR))
    found = world.compare(yesterdays)
    assert (found.stale, dict(found.by_feature)) == (0, {"user_profile:plays_total": 1})


def test_profile_changed_by_late_events_is_late(world: World) -> None:
    world.land("first", BATCH, DAY + 2 * HOUR)
    found = world.compare(replace(world.request(NOON), profile={"user_profile__plays_total": 1}))
    assert (found.unequal, found.late) == (0, 1)


def unclicked_impression(event_id: str, second: float) -> dict[str, Any]:
    row = play(event_id, second, action="impression", behaviour="impression_without_click")
    return row | {"played_ms": None, "played_ratio": None}


@pytest.fixture
def shown(world: World) -> World:
    """A world with two unclicked impressions on the first day and one on the second."""
    more = [
        unclicked_impression("i1", 0.6 * DAY),
        unclicked_impression("i2", 0.7 * DAY),
        unclicked_impression("i3", 1.4 * DAY),
    ]
    world.rows = event_rows([*BATCH, *more, *LIVE])
    write_events(world.marts / "events.parquet", world.rows)
    world.land("third", more[:2], DAY + 0.5 * HOUR)
    world.land("fourth", more[2:], 2 * DAY + 0.5 * HOUR)
    return world


def test_unclicked_impressions_are_known_from_midnight(shown: World) -> None:
    request = shown.request(NOON)
    assert request.views["impressions_left"]["event_id"] == ["i1", "i2"]
    assert shown.compare(request).unequal == 0
    skewed = shown.compare(shown.request(NOON, without=("i1",)))
    assert skewed.late == 0 and set(skewed.by_feature) == {
        f"impressions_left:{name}" for name in request.views["impressions_left"]
    }


def test_unclicked_impressions_are_stale_until_the_next_materialization(shown: World) -> None:
    tomorrow = 2 * DAY + 0.9 * HOUR
    before = replace(shown.request(tomorrow, without=("i3",)), profile={"user_profile__plays_total": 5})
    found = shown.compare(before)
    assert (found.unequal, found.stale) == (0, 1)
    shown.materialized(us(2 * DAY), us(2 * DAY + 0.6 * HOUR), us(2 * DAY + 0.8 * HOUR))
    assert shown.compare(before).unequal > 0
    now = replace(shown.request(tomorrow), profile=before.profile)
    assert (shown.compare(now).unequal, shown.compare(now).stale) == (0, 0)


def test_late_outcome_invalidates_an_unclicked_impression(shown: World) -> None:
    request = shown.request(NOON)
    shown.rows = [row for row in shown.rows if row["event_id"] != "i1"]
    write_events(shown.marts / "events.parquet", shown.rows)
    found = shown.compare(request)
    assert found.unequal > 0 and found.late == 0  # no late event could have invalidated it
    shown.land("first", BATCH, DAY + 2 * HOUR)  # after the materialized event table was published
    found = shown.compare(request)
    assert (found.unequal, found.late) == (0, 1)
    skewed = shown.compare(
        replace(request, views=request.views | {"impressions_left": shown.request(0).views["impressions_left"]})
    )
    assert skewed.unequal > 0  # i2 had landed in time


def with_ratio(request: LoggedRequest, place: int, ratio: float) -> LoggedRequest:
    view = request.views["recent_events"]
    values = list(view["played_ratio"])
    values[place] = ratio
    return replace(request, views=request.views | {"recent_events": view | {"played_ratio": values}})


def test_ratio_of_an_estimated_length_is_restated_and_of_a_known_length_skew(world: World) -> None:
    request = world.request(NOON)
    found = world.compare(with_ratio(request, 3, 0.25))
    assert (found.restated, found.unequal) == (1, 0)
    found = world.compare(with_ratio(request, 4, 0.25))
    assert (found.restated, dict(found.by_feature)) == (0, {"recent_events:played_ratio": 1})
    assert found.examples == [
        {"request_id": "q", "at_us": us(NOON), "release": "r", "feature": "recent_events:played_ratio", "ago": 1}
        | {"online": 0.25, "offline": 0.75}
    ]


def test_requests_with_unlanded_events_are_pending(world: World) -> None:
    for file in world.home.glob("landing/*/*/second.parquet"):
        file.unlink()
    world.rows = event_rows(BATCH)
    write_events(world.marts / "events.parquet", world.rows)
    world.rows = event_rows([*BATCH, *LIVE])
    found = world.compare(world.request(NOON))
    assert (found.pending, found.compared, found.unequal) == (1, 0, 0)


def test_event_lost_by_landing_is_skew(world: World) -> None:
    write_events(world.marts / "events.parquet", event_rows([*BATCH, *LIVE[:2]]))
    found = world.compare(world.request(NOON))
    assert found.unequal > 0


@pytest.mark.parametrize("without", [(), ("l2",)], ids=["equal", "different"])
def test_features_that_the_store_no_longer_has_are_left_out_and_counted(world: World, without: tuple[str, ...]) -> None:
    request = world.request(NOON, without=without)
    earlier = {name: attributes | {"tempo": [1.0]} for name, attributes in request.views.items()}
    earlier["recent_shares"] = {"event_id": ["l1"], "track_id": ["t1"]}
    profile = request.profile | {"user_profile__shares_total": 3}
    found, expected = world.compare(replace(request, views=earlier, profile=profile)), world.compare(request)
    assert replace(found, removed=Counter()) == expected
    assert found.removed == {f"{name}:tempo": 1 for name in request.views} | {
        "recent_shares:event_id": 1,
        "recent_shares:track_id": 1,
        "user_profile:shares_total": 1,
    }


def test_request_lines_round_trip_and_days_are_by_request_time(world: World, tmp_path: Path) -> None:
    requests = [world.request(NOON), replace(world.request(2 * DAY - 1), applied=None), world.request(2 * DAY)]
    folder = tmp_path / "requests" / "dt=2024-01-03"
    folder.mkdir(parents=True)
    lines = b"".join(request.to_line() for request in requests)
    (folder / "requests-1.jsonl").write_bytes(b"not a line\n" + lines + requests[0].to_line()[:50])
    assert us(0) == EPOCH_US
    day = date(2024, 1, 2)
    assert list(feature_log.read_requests(tmp_path / "requests", day, day)) == requests[:2]
