"""Clock jumps of hours, days and years: events stay unique and complete."""

import random
import time

import pytest

from tests.support.chaos.event_path import EventPath
from tests.support.progress import Progress, sized

JUMPS = sized(1_000, 12)
PART = 50
REPORTS_PER_JUMP = 3
JUMP_HOURS = (-365 * 24, -48, -24, -3, -1, 1, 3, 24, 48, 365 * 24)


@pytest.mark.timeout(7200)
def test_jumps_lose_and_repeat_no_event(tmp_path):
    progress = Progress("clock_jumps", JUMPS)
    for part, jumps in progress.parts(PART):
        chance, offset = random.Random(part), [0]
        path = EventPath(tmp_path / f"store{part}", lambda offset=offset: time.time_ns() // 1000 + offset[0], users=10)
        for _ in range(jumps):
            offset[0] = chance.choice(JUMP_HOURS) * 3_600_000_000
            for _ in range(REPORTS_PER_JUMP):
                path.report_and_read()
            if chance.random() < 0.2:
                path.restart()
        path.check()
        path.stop()
        progress.add(jumps, events=len(path.acknowledged))
    progress.report(f"{JUMPS} jumps, 0 lost, 0 duplicate")
