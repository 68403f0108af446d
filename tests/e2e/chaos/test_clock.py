"""Clock jumps of hours, days and years: events stay unique and complete, in log, store and landing zone."""

import random
import time
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from ingestion.land import land
from tests.support.chaos import checker, event_path
from tests.support.progress import Progress, sized

JUMPS = sized(1_000, 12)
PART = 50
REPORTS_PER_JUMP = 3
JUMP_HOURS = (-365 * 24, -48, -24, -3, -1, 1, 3, 24, 48, 365 * 24)


@pytest.mark.timeout(7200)
def test_jumps_lose_and_repeat_no_event(tmp_path, monkeypatch):
    progress = Progress("clock_jumps", JUMPS)
    for part, jumps in progress.parts(PART):
        chance, home = random.Random(part), tmp_path / f"home{part}"
        offset = [0]

        def now_us(offset=offset):
            return time.time_ns() // 1000 + offset[0]

        opener = event_path.opener(home / "feast")
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
