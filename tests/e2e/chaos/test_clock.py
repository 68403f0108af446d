"""Clock jumps of hours, days and years: events stay unique and complete, in log, store and landing zone."""

import http.client
import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from ingestion.land import land
from local.ports import free_port
from tests.support import recommender_service
from tests.support.chaos import checker, event_path, homes
from tests.support.progress import Progress, sized
from tests.support.tiers import acceptance_only

JUMPS = sized(1_000, 12)
PART = 50
REPORTS_PER_JUMP = 3
JUMP_HOURS = (-365 * 24, -48, -24, -3, -1, 1, 3, 24, 48, 365 * 24)
SERVICE_JUMPS = max(4, sized(20, 4))
LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@pytest.mark.timeout(7200)
def test_jumps_lose_and_repeat_no_event(tmp_path, monkeypatch):
    progress = Progress("clock_jumps", JUMPS)
    for part, jumps in progress.parts(PART):
        chance, home = random.Random(part), tmp_path / f"home{part}"
        offset = [0]

        def now_us(offset=offset):
            return time.time_ns() // 1000 + offset[0]

        opener = event_path.sqlite_opener(home / "feast")
        with event_path.opened(monkeypatch, home, opener, now_us, users=10) as path:
            for _ in range(jumps):
                offset[0] = chance.choice(JUMP_HOURS) * 3_600_000_000
                for _ in range(REPORTS_PER_JUMP):
                    path.report_and_read()
                if chance.random() < 0.2:
                    path.restart()
                if chance.random() < 0.1:
                    land(home / "live", home, now=datetime.now(UTC) + timedelta(microseconds=offset[0]))
            path.check()
        # Day by day, which reads every file: their times are those of the real clock. Events of the future are quarantined, so
        # land as of the latest time.
        for folder in sorted((home / "live").glob("dt=*")):
            land(folder, home, now=datetime.now(UTC) + timedelta(days=400))
        landed = f"select event_id from read_parquet('{home}/landing/listening_events/*/*.parquet')"
        found = [row[0] for row in duckdb.sql(landed).fetchall()]
        checker.check_ids("landing zone", found, path.acknowledged)
        progress.add(jumps, events=len(path.acknowledged))
    progress.report(f"{JUMPS} jumps, 0 lost, 0 duplicate")


@acceptance_only
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not LIBFAKETIME.exists(), reason="libfaketime is not installed: apt-get install libfaketime")
def test_service_with_a_jumping_clock(tmp_path, template):
    home = homes.copy_home(template, tmp_path / "home")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(LIBFAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    port = free_port()
    known = homes.variables(home, SEGUE_RECOMMENDER_PORT=str(port), **faked)
    place, chance, ids, days = recommender_service.Place(home, port, known), random.Random(0), [], set()
    with recommender_service.started(place, "/readyz"):
        for jump in range(SERVICE_JUMPS):
            hours = chance.choice(JUMP_HOURS)
            # libfaketime ends a process that reads an incomplete file.
            draft = clock.with_suffix(".draft")
            draft.write_text(f"{hours:+d}h")
            draft.replace(clock)
            days.add(f"dt={datetime.now(UTC) + timedelta(hours=hours):%Y-%m-%d}")
            for number in range(5):
                event_id, user = f"c{jump}-{number}", f"u{number:06d}"
                track = f"t{jump * 5 + number}"
                row = {"event_id": event_id, "user_id": user, "target_type": "track", "target_id": track}
                assert post(port, "/events", {"events": [row | {"action": "block"}]})["accepted"] == 1
                ids.append(event_id)
                answer = post(port, "/recommend", {"user_id": user, "scene": "private_fm", "limit": 5})
                assert len(answer["items"]) == 5
                assert track not in [item["track_id"] for item in answer["items"]]
    assert sorted(checker.logged_ids(home)) == sorted(ids)
    # A day may have changed in the meantime.
    assert len(days & {file.parent.name for file in home.glob("live/dt=*/events-*.jsonl")}) >= len(days) - 1 > 0
    found = homes.stored_clicks(homes.variables(home))
    checker.check_ids("online store", [one for found_ids in found.values() for one in found_ids if one in ids], ids)


def post(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = json.loads(response.read())
    assert response.status == 200, content
    return content
