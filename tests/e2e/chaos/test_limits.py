"""Without file descriptors events are refused, and no acknowledged event is lost."""

import contextlib
import resource
import time

import pytest

from tests.support.chaos import event_path
from tests.support.progress import Progress, sized

ROUNDS = sized(200, 5)
DAY_US = 86_400_000_000


@contextlib.contextmanager
def descriptors(limit):
    """Lower the number of file descriptors of this process to `limit`."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.timeout(1800)
def test_event_log_without_file_descriptors(tmp_path, monkeypatch):
    progress = Progress("no_file_descriptors", ROUNDS)
    for part, rounds in progress.parts(50):
        home, day = tmp_path / f"home{part}", [0]

        def now_us(day=day):
            return time.time_ns() // 1000 + day[0] * DAY_US

        opener = event_path.opener(home / "feast")
        with event_path.opened(monkeypatch, home, opener, now_us, users=20) as path:
            for _ in range(rounds):
                path.report_and_read()
                day[0] += 1  # the next event needs a new file
                refused = path.refused
                # The highest open descriptor stays valid; opening another one fails.
                with descriptors(1):
                    path.report()
                assert path.refused == refused + 1
                path.report_and_read()
            path.check()
        progress.add(rounds, events=len(path.acknowledged), refused=path.refused)
    progress.report(f"{ROUNDS} times, 0 lost, 0 duplicate")
