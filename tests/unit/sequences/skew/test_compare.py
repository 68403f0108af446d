"""Differences between online and offline features, case by case on a hand-made history."""

from __future__ import annotations

import os
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
from sequences.sequence_views import SEQUENCE_VIEWS
from sequences.skew import feature_log
from sequences.skew.compare import SkewReport, compare_requests
from sequences.skew.feature_log import LoggedRequest, nan_to_none
from storage.files import atomic_write
from tests.support.recorded import recorded_event
from tests.support.sequences.event_rows import at, event_rows, oracle_values, us, write_events
from tests.support.sequences.feast_stores import sqlite_store

HOUR, DAY = 3600, 86_400


def play(event_id: str, second: float, **more: Any) -> dict[str, Any]:
    row = {"event_id": event_id, "user_id": "u", "second": second, "sequence_number": 0, "target_id": "t1"}
    return row | {"played_ms": 95_000, "played_ratio": 0.75, "behavior": "full_play"} | more


def unclicked_impression(event_id: str, second: float) -> dict[str, Any]:
    return play(event_id, second, action="impression", behavior="impression_without_click") | {
        "played_ms": None,
        "played_ratio": None,
    }


BATCH = [play("b1", 0.5 * DAY), play("b2", 0.9 * DAY, target_id="t2", played_ratio=None, behavior="play")]
SHOWN = [unclicked_impression("i1", 0.6 * DAY), unclicked_impression("i2", 0.7 * DAY)]
LIVE = [play("l1", DAY + 1 * HOUR), play("l2", DAY + 2 * HOUR, target_id="t2"), play("l3", DAY + 3 * HOUR)]
NOON = DAY + 12 * HOUR
PROFILES = [("u", at(DAY), 2), ("u", at(2 * DAY), 5)]
BUILT = us(DAY + 0.8 * HOUR)
FIRST_ROWS, SECOND_ROWS = ("2024-01-02", BUILT), ("2024-01-03", us(2 * DAY + 0.8 * HOUR))


class World:
    """A home in which the first day's events were landed and materialized at 1:00, and the second day's were reported."""

    def __init__(self, home: Path) -> None:
        self.home, self.marts = home, home / "marts"
        self.marts.mkdir()
        self.events = open_event_store(Settings(home=home))
        self.events.append([recorded_event(0, "u", event_id=event["event_id"]) for event in LIVE])
        self.publish([*BATCH, *SHOWN, *LIVE], landed=3)
        names = ["user_id", "known_at", "plays_total"]
        pq.write_table(
            pa.table([pa.array([row[n] for row in PROFILES]) for n in range(3)], names=names),
            self.marts / "user_profiles.parquet",
        )
        pq.write_table(
            pa.table({"track_id": ["t1", "t2"], "is_duration_estimated": [False, True]}), self.marts / "tracks.parquet"
        )
        self.land("first", [*BATCH, *SHOWN], DAY + 0.5 * HOUR)
        self.land("second", LIVE, 2 * DAY + 0.5 * HOUR)
        self.store = sqlite_store(self.marts, SEQUENCE_VIEWS)

    def publish(self, events: list[dict[str, Any]], landed: int) -> None:
        """Publish marts of events, with events of the event store up to a number."""
        pq.write_table(
            pa.table({"event_store": [self.events.id], "event_seq": [landed]}), self.marts / "landings.parquet"
        )
        self.rows = event_rows(events)
        write_events(self.marts / "events.parquet", self.rows)

    def land(self, name: str, events: list[dict[str, Any]], second: float) -> None:
        folder = self.home / "landing" / "listening_events" / "dt=2024-01-01"
        folder.mkdir(parents=True, exist_ok=True)
        ids, ends = [e["event_id"] for e in events], [at(e["second"]) for e in events]
        pq.write_table(
            pa.table({"event_id": ids, "user_id": ["u"] * len(ids), "ended_at": ends}), folder / f"{name}.parquet"
        )
        os.utime(folder / f"{name}.parquet", (us(second) / 1e6, us(second) / 1e6))

    def request(
        self,
        second: float = NOON,
        *,
        without: tuple[str, ...] = (),
        applied: tuple[str, int] | int | None = 3,
        rows: tuple[str, int] | None = FIRST_ROWS,
    ) -> LoggedRequest:
        """A request that read all events except `without`."""
        known = [row for row in self.rows if row["event_id"] not in without]
        views = {}
        for name, view in SEQUENCE_VIEWS.items():
            views[name] = {
                one: nan_to_none(one, of_one) for one, of_one in oracle_values(known, view, "u", us(second)).items()
            }
        profile: dict[str, float | None] = {"user_profile__plays_total": 2}
        position = (self.events.id, applied) if isinstance(applied, int) else applied
        return LoggedRequest("q", "u", us(second), "r", position, views, profile, rows)

    def compare(self, *requests: LoggedRequest) -> SkewReport:
        return compare_requests(self.store, self.events, requests, self.marts, self.home / "landing")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.events.close()


def test_equal_requests_have_no_skew_and_all_values_are_counted(world: World) -> None:
    request = world.request()
    found = world.compare(request, request)
    assert (found.requests, found.compared, found.unequal, found.late) == (2, 2, 0, 0)
    values = sum(len(values) for lists in request.views.values() for values in lists.values())
    assert found.values == 2 * (values + len(request.profile)) > 100


@pytest.mark.parametrize(
    ("asked", "changes", "expected"),
    [
        ({"without": ("l2", "l3"), "applied": 1}, {}, {"late": 1}),
        ({"without": ("l1", "l2", "l3"), "applied": None}, {}, {"late": 1}),
        ({"without": ("l2", "l3"), "applied": 2}, {}, {"late": 1, "unequal": 1}),
        ({"without": ("l3",), "applied": 1}, {}, {"late": 1}),  # read although it was applied later
        ({"without": ("l3",), "applied": ("store before a restore", 300)}, {}, {"late": 1}),
        ({}, {"at_us": us(DAY + 2.5 * HOUR)}, {"early": 1}),
        ({"without": ("b2",)}, {}, {"unequal": 1}),
        ({"without": ("i1",)}, {}, {"unequal": 1}),
        ({}, {"views": {}, "profile": {}, "rows": None}, {"unread": 1, "compared": 0}),
        ({"applied": 4}, {}, {"pending": 1, "compared": 0}),
        ({}, {"profile": {"user_profile__plays_total": 5}}, {"unequal": 1}),
        ({}, {"profile": {"user_profile__plays_total": None}}, {"unequal": 1}),
        ({}, {"views": {"recent_shares": {"event_id": ["l1"]}}}, {"removed": 1, "compared": 0}),
        ({}, {"profile": {"user_profile__shares_total": 3}}, {"removed": 1, "compared": 0}),
        ({"second": 2 * DAY + 0.9 * HOUR}, {}, {"stale": 1}),
        ({"second": 2 * DAY + 0.9 * HOUR, "rows": SECOND_ROWS}, {}, {"unequal": 1}),
    ],
)
def test_a_request_is_classified(
    world: World, asked: dict[str, Any], changes: dict[str, Any], expected: dict[str, int]
) -> None:
    found = world.compare(replace(world.request(**asked), **changes))
    names = ("requests", "compared", "unread", "removed", "pending", "unequal", "late", "early", "stale")
    counts = {name: min(getattr(found, name), 1) for name in names}
    assert counts == dict.fromkeys(names, 0) | {"requests": 1, "compared": 1} | expected


def test_event_of_a_file_is_late_until_a_build_has_it(world: World) -> None:
    world.events.erase(["u"])  # l1 to l3 arrived in a file, at the end of their day
    assert world.compare(world.request(without=("l1",))).unequal == 0
    world.land("first", BATCH, DAY + 2 * HOUR)
    found = world.compare(world.request(without=("b2",)))
    assert (found.unequal, found.late) == (0, 1)
    found = world.compare(replace(world.request(), profile={"user_profile__plays_total": 1}))
    assert (found.unequal, found.late) == (0, 1), "late events change the profile, too"


def test_unclicked_impressions_are_stale_until_the_next_materialization(world: World) -> None:
    world.publish([*BATCH, *SHOWN, *LIVE, unclicked_impression("i3", 1.4 * DAY)], landed=3)
    tomorrow, profile = 2 * DAY + 0.9 * HOUR, {"user_profile__plays_total": 5}
    before = replace(world.request(tomorrow, without=("i3",)), profile=profile)
    now = replace(world.request(tomorrow, rows=SECOND_ROWS), profile=profile)
    found = [world.compare(request) for request in (before, replace(before, rows=SECOND_ROWS), now)]
    assert [(min(one.unequal, 1), one.stale) for one in found] == [(0, 1), (1, 0), (0, 0)]


def test_late_outcome_invalidates_an_unclicked_impression(world: World) -> None:
    request = world.request()
    world.publish([*BATCH, SHOWN[1], *LIVE], landed=3)
    found = world.compare(request)
    assert found.unequal > 0 and found.late == 0  # no late event could have invalidated it
    world.land("late", [play("b3", 0.61 * DAY)], DAY + 2 * HOUR)
    found = world.compare(request)
    assert (found.unequal, found.early) == (0, 1)
    skewed = world.compare(
        replace(request, views=request.views | {"impressions_left": world.request(0).views["impressions_left"]})
    )
    assert skewed.unequal > 0  # i2 had landed in time


def with_ratio(request: LoggedRequest, place: int, ratio: float) -> LoggedRequest:
    view = request.views["recent_events"]
    values = list(view["played_ratio"])
    values[place] = ratio
    return replace(request, views=request.views | {"recent_events": view | {"played_ratio": values}})


def test_ratio_of_an_estimated_length_is_restated_and_of_a_known_length_skew(world: World) -> None:
    request = world.request()
    found = world.compare(with_ratio(request, 3, 0.25))
    assert (found.restated, found.unequal) == (1, 0)
    found = world.compare(with_ratio(request, 4, 0.25))
    assert (found.restated, dict(found.by_feature)) == (0, {"recent_events:played_ratio": 1})
    assert found.examples == [
        {"request_id": "q", "at_us": us(NOON), "release": "r", "feature": "recent_events:played_ratio", "ago": 1}
        | {"online": 0.25, "offline": 0.75}
    ]


def test_event_lost_by_landing_is_skew(world: World) -> None:
    request = world.request()
    world.publish([*BATCH, *SHOWN, *LIVE[:2]], landed=3)
    assert world.compare(request).unequal > 0


def test_request_lines_round_trip_and_days_are_by_request_time(world: World, tmp_path: Path) -> None:
    requests = [world.request(), replace(world.request(2 * DAY - 1), applied=None, rows=None), world.request(2 * DAY)]
    file = tmp_path / "requests" / "dt=2024-01-03" / "requests-1.jsonl"
    lines = b"".join(request.to_line() for request in requests)
    atomic_write(file, b"not a line\n" + lines + requests[0].to_line()[:50])
    day = date(2024, 1, 2)
    assert list(feature_log.read_requests(tmp_path / "requests", day, day)) == requests[:2]
