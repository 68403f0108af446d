"""What the recommender recorded is landed once, whatever is killed, restored or erased meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from config.settings import Settings
from event_store.opened import open_event_store, open_serving_state
from event_store.store import EventStore, ServingState
from ingestion import landed_tables, recorded
from ingestion.land import main
from ingestion.landing_zone import CLOCK_SKEW
from storage.suppression_list import SuppressionList
from tests.support.log_sources import landed, quarantined
from tests.support.recorded import MINUTE_US, record, recorded_event, shown

KILLED = """
import os, sys
from pathlib import Path
from ingestion import recorded
from ingestion.land import main
recorded.PAGE_EVENTS, recorded.PAGE_RESPONSES = 4, 2
left, replace = [int(sys.argv[2])], Path.replace
def replace_or_exit(self, target):
    left[0] -= 1
    if left[0] < 0:
        os._exit(9)
    return replace(self, target)
Path.replace = replace_or_exit
os.environ["SEGUE_HOME"] = sys.argv[1]
main(["--events"])
"""


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[EventStore, ServingState]]:
    here = Settings(home=tmp_path)
    store, state = open_event_store(here), open_serving_state(here)
    yield store, state
    store.close()
    state.close()


def rows(home: Path, table: str = "listening_events") -> pl.DataFrame:
    return landed(home, table).sort("event_id")


@pytest.mark.parametrize("writes", [11, 12, 15, 17, 18, 19, 22, 25])
def test_a_killed_landing_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """The first 11 files are empty tables; each page has a file of its events, perhaps one of exposures, and one of its position."""
    record(tmp_path, [recorded_event(number) for number in range(10)], [shown(number) for number in range(5)])
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(writes)], check=False).returncode == 9
    record(tmp_path, [recorded_event(number) for number in range(7, 13)], [shown(5)])
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    assert main(["--events"]) == 0
    impressions = [f"r{number}-{place}" for number in range(6) for place in range(2)]
    ids = sorted([*(f"e{number}" for number in range(13)), *impressions])
    assert rows(tmp_path)["event_id"].to_list() == ids
    assert rows(tmp_path, "exposures")["event_id"].to_list() == impressions
    assert not list(tmp_path.rglob("*.writing"))


def test_a_landing_reads_on_from_the_last_one(
    tmp_path: Path, stores: tuple[EventStore, ServingState], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, state = stores
    monkeypatch.setattr(recorded, "PAGE_EVENTS", 4)
    store.append([recorded_event(number) for number in range(6)])
    state.add_exposure("u1", shown(1))
    first = recorded.land_recorded(store, state, tmp_path)
    assert [(kind, counts.landed) for kind, counts in first] == [("events", 4), ("events", 2), ("responses", 4)]
    assert recorded.land_recorded(store, state, tmp_path) == []
    assert len(store.read(None, 9)) == 6 and state.read(None, 9) == []
    store.append([recorded_event(6)])
    ((_, counts),) = recorded.land_recorded(store, state, tmp_path)
    assert (counts.read, counts.landed) == (1, 1)
    store.renew_id()
    again = recorded.land_recorded(store, state, tmp_path)
    assert [(counts.read, counts.duplicate) for _, counts in again] == [(4, 4), (3, 3)]
    assert sorted(landed(tmp_path, "landings").filter(event_store=store.id)["event_seq"].to_list()) == [4, 7]
    assert recorded.land_recorded(store, state, tmp_path, tmp_path / "elsewhere")[0][1].landed == 4


def test_rows_are_those_of_the_contract(tmp_path: Path, stores: tuple[EventStore, ServingState]) -> None:
    store, state = stores
    play = {"action": "play", "behavior": "skip", "played_ms": 1_000, "played_ratio": 0.01, "scene": "daily"}
    ended = recorded_event(1)["ended_at"]
    store.append([recorded_event(1, **play, occurred_at=ended - MINUTE_US, ended_at=ended)])
    state.add_exposure("u1", shown(1, items=1))
    recorded.land_recorded(store, state, tmp_path)
    event, impression = rows(tmp_path).to_dicts()
    assert event.keys() == set(landed_tables.LISTENING_EVENTS.names)
    assert (event["action"], event["played_ms"], event["scene"], event["ended_at"] - event["occurred_at"]) == (
        *("play", 1_000, "daily"),
        timedelta(minutes=1),
    )
    assert event["sequence_number"] > 0
    assert (impression["action"], impression["position"], impression["sequence_number"]) == ("impression", 0, 0)
    (exposure,) = rows(tmp_path, "exposures").to_dicts()
    assert (exposure["event_id"], exposure["release"], exposure["channels"]) == ("r1-0", "v1", ["realtime"])
    assert landed(tmp_path, "landings")["split"].to_list() == [None, None]


def test_invalid_rows_are_quarantined_and_do_not_stop_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = recorded_event(0)["ended_at"] + 2 * CLOCK_SKEW // timedelta(microseconds=1)
    record(tmp_path, [recorded_event(1, action="hum"), recorded_event(2, occurred_at=late, ended_at=late)])
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    assert main(["--events"]) == 0
    assert quarantined(tmp_path)["user_id"].to_list() == ["u1", "u1"]
    assert landed(tmp_path).height == 0


def test_erased_users_are_not_landed(tmp_path: Path, stores: tuple[EventStore, ServingState]) -> None:
    store, state = stores
    store.append([recorded_event(1, "erased"), recorded_event(2)])
    state.add_exposure("erased", shown(1, "erased"))
    SuppressionList().with_users(["erased"]).write(tmp_path / "suppression_list.json")
    landed_pages = recorded.land_recorded(store, state, tmp_path)
    assert [counts.suppressed for _, counts in landed_pages] == [1, 4]
    assert rows(tmp_path)["user_id"].to_list() == ["u1"]
