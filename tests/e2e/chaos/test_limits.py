"""Limits of file descriptors and memory: what fails is refused or repeated, and no acknowledged event is lost."""

import contextlib
import os
import resource
import socket
import time

import psutil
import pytest

from local.ports import free_port
from tests.e2e.chaos.test_clock import post
from tests.e2e.chaos.test_kills import landed_ids, write_live_log
from tests.support import recommender_service
from tests.support.chaos import checker, event_path, homes
from tests.support.progress import Progress, sized
from tests.support.tiers import acceptance_only

ROUNDS = sized(200, 5)
MEMORY_MB = (0, 20, 50, 100, 200, 400)
COMMAND_S = 60
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

        opener = event_path.sqlite_opener(home / "feast")
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


@acceptance_only
@pytest.mark.timeout(1800)
def test_service_without_file_descriptors(template, tmp_path):
    home, ids, refused = homes.copy_home(template, tmp_path / "home"), [], 0
    port = free_port()
    place = recommender_service.Place(home, port, homes.variables(home, SEGUE_RECOMMENDER_PORT=str(port)))
    with recommender_service.started(place, "/readyz") as service:
        worker = max(service.process.members(), key=lambda process: process.num_fds()).pid
        before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        for number in range(20):
            used = len(os.listdir(f"/proc/{worker}/fd"))  # noqa: PTH208
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + number % 4, before[1]))
            with contextlib.ExitStack() as open_connections:
                for _ in range(8):
                    open_connections.enter_context(socket.create_connection(("127.0.0.1", port)))
                event_id = f"d{number}"
                row = {"event_id": event_id, "user_id": f"u{number:06d}", "target_type": "track", "target_id": "t1"}
                try:
                    post(port, "/events", {"events": [row | {"action": "click"}]})
                    ids.append(event_id)
                except (OSError, AssertionError, ValueError):
                    refused += 1
            resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
            if event_id not in ids:
                repeat(lambda row=row: post(port, "/events", {"events": [row | {"action": "click"}]}))
                ids.append(event_id)
            answer = repeat(lambda: post(port, "/recommend", {"user_id": "u000001", "scene": "private_fm", "limit": 5}))
            assert len(answer["items"]) == 5
    checker.check_ids("event log", checker.logged_ids(home), ids)
    print(f"file descriptors: {len(ids)} events, {refused} of them refused at first")


def repeat(request):
    """The response to a request that is repeated while its connection fails: the server accepts again after a second."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return request()
        except OSError:
            assert time.monotonic() < deadline, "the service does not accept connections"
            time.sleep(0.2)


@acceptance_only
@pytest.mark.timeout(1800)
def test_landing_with_little_memory(tmp_path):
    ids, known = write_live_log(tmp_path, 20_000), homes.variables(tmp_path)
    landing = ("ingestion.land", str(tmp_path / "live"), "--home", str(tmp_path))
    results = []
    for megabytes in MEMORY_MB:
        program = homes.start_command(known, *landing)
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            size = psutil.Process(program.process.pid).memory_info().vms + (megabytes << 20)
            resource.prlimit(program.process.pid, resource.RLIMIT_AS, (size, size))
        # Python waits forever for a thread that cannot be started.
        program.process.join(COMMAND_S)
        results.append([one for one in program.messages() if one != "started"])
        program.kill()
    assert homes.run_command(known, *landing) == 0
    checker.check_ids("landing zone", landed_ids(tmp_path), ids)
    print(f"{MEMORY_MB} MB of memory: {results}")
    assert any(result != [0] for result in results), "no limit was too low; lower them"
