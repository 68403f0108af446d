"""A full disk: events are refused, not lost; commands fail as a whole and succeed when they are repeated."""

import subprocess
import sys

import duckdb
import httpx
import pytest

from config.settings import ROOT, Settings
from event_store.opened import now_us
from event_store.sqlite_stores import SqliteEventStore
from local.environment import environment
from tests.support import recommender_service, release_swap
from tests.support.chaos import small_disk
from tests.support.chaos.event_path import EventPath, check_ids, stored_ids
from tests.support.pipeline_commands import run_to_end
from tests.support.progress import sized
from tests.support.tiers import acceptance_only

FILLINGS = sized(100, 3)
PUBLIC = ("/livez", "/readyz", "/status", "/metrics", "/", "/openapi.json")
USER = "u000000"
REQUESTS = [
    *(("/recommend", {"user_id": USER, "scene": scene}) for scene in ("daily", "private_fm")),
    ("/recommend", {"seeds": ["t1"]}),
    ("/similar", {"track_id": "t1"}),
    ("/path", {"from": "t1", "to": "t9"}),
    ("/explain", {"user_id": USER, "track_id": "t3"}),
    *((path, {"user_id": USER}) for path in ("/listener", "/library", "/taste", "/export")),
    ("/listeners", {}),
]
"""A request to each method that the release of these tests has."""
COMMAND_SIZES_KB = (40, 80, 160, 320, 640)


@pytest.mark.timeout(1800)
def test_events_are_refused_and_none_is_lost(tmp_path):
    with small_disk.mounted(tmp_path, 4096):
        path = EventPath(tmp_path, now_us, users=100)
        for _ in range(FILLINGS):
            path.report_and_read()
            ballast, refused = small_disk.fill(tmp_path), path.refused
            # The last page of the file may have space for some events.
            for _ in range(40):
                path.report(10)
            assert path.refused > refused
            ballast.unlink()
            path.report_and_read()
        path.check()
        path.stop()


@pytest.mark.timeout(600)
def test_service_on_a_full_disk(tmp_path):
    """Reports get 503 and everything else 200, from the same process, and no acknowledged event is lost."""
    home = tmp_path / "home"
    with small_disk.mounted(home, 200_000):
        with (
            release_swap.prepare_one_release(home, 10) as place,
            recommender_service.started(place, "/readyz") as service,
            httpx.Client(base_url=f"http://127.0.0.1:{place.port}", timeout=60) as client,
        ):
            processes, events = {one.pid for one in service.process.members()}, {"before": 200}

            def report(event_id):
                row = {"event_id": event_id, "user_id": USER, "target_type": "track", "target_id": "t1"}
                return client.post("/events", json={"events": [row | {"action": "click"}]}).status_code

            assert report("before") == 200
            ballast = small_disk.fill(home)
            # The last page of the file may have space for some events.
            events |= {f"e{number}": report(f"e{number}") for number in range(40)}
            answers = [client.post(path, json=body) for path, body in REQUESTS]
            answers += [client.get(path) for path in PUBLIC]
            assert [(one.url, one.text) for one in answers if one.status_code != 200] == []
            assert set(events.values()) == {200, 503}
            assert {one.pid for one in service.process.members()} == processes
            ballast.unlink()
            again = {event_id: report(event_id) for event_id, status in events.items() if status == 503}
            assert set(again.values()) == {200}
        store = SqliteEventStore(home / "serving", now_us)
        check_ids("event store", stored_ids(store), set(events))
        store.close()


@acceptance_only
def test_landing_on_a_full_disk(tmp_path):
    path = EventPath(tmp_path / "serving", now_us, users=50)
    for _ in range(200):
        path.report(100)
    path.stop()
    command = [sys.executable, "-m", "ingestion.land", "--events"]
    variables = environment(Settings(home=tmp_path))
    results = []
    with small_disk.mounted(tmp_path / "landing", COMMAND_SIZES_KB[0]):
        for size in COMMAND_SIZES_KB:
            small_disk.resize(tmp_path / "landing", size)
            results.append(subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode)
        small_disk.resize(tmp_path / "landing", 100_000)
        run_to_end(command, variables)
        files = f"{tmp_path}/landing/listening_events/*/*.parquet"
        landed = duckdb.sql(f"select event_id from read_parquet('{files}')").fetchall()
        check_ids("landing zone", [event_id for (event_id,) in landed], path.acknowledged)
    assert any(results)
