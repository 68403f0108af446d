"""Clock jumps of hours, days and years: events stay unique and complete."""

import random
import time

import pytest

from tests.support.chaos.event_path import EventPath
from tests.support.progress import sized

JUMPS = sized(1_000, 12)
REPORTS_PER_JUMP = 3
JUMP_HOURS = (-365 * 24, -48, -24, -3, -1, 1, 3, 24, 48, 365 * 24)


@pytest.mark.timeout(7200)
def test_jumps_lose_and_repeat_no_event(tmp_path):
    chance, offset = random.Random(0), [0]
    path = EventPath(tmp_path / "store", lambda: time.time_ns() // 1000 + offset[0], users=JUMPS // 5)
    for _ in range(JUMPS):
        offset[0] = chance.choice(JUMP_HOURS) * 3_600_000_000
        for _ in range(REPORTS_PER_JUMP):
            path.report_and_read()
        if chance.random() < 0.2:
            path.restart()
    path.check()
    path.stop()
