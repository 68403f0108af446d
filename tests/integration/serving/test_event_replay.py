"""A process killed between log and push: the next one replays, and no acknowledged event is lost."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sequences.online.reader_writer import OnlineReader, OnlineWriter
from sequences.views import SEQUENCE_VIEWS
from serving.events.event_pusher import EventPusher
from serving.events.event_schema import read_event
from serving.events.user_writers import UserWriters
from serving.events.write_ahead_log import EventLog
from tests.support.sequences.online_stores import KINDS, opened
from tests.support.serving.small_release import degradation

EVENTS = 60


def now_us():
    return time.time_ns() // 1000


def click(number):
    row = {"event_id": f"e{number}", "user_id": f"u{number % 3}", "target_type": "track", "target_id": f"t{number}"}
    return read_event(row | {"action": "click"}, now_us())


def serve_until_killed(store, home, kill_at, is_written, answered):
    """Takes reports of four concurrent clients; dies immediately before or after write number `kill_at`."""
    writer, writes = OnlineWriter(store, lambda _: None), []

    def apply(events_of):
        writes.append(1)
        if is_written or len(writes) < kill_at:
            writer.apply_batch(events_of)
        if len(writes) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    log = EventLog(home / "live", home / "serving", now_us)
    push = EventPusher(log, UserWriters(apply), degradation())
    push.start()

    def report(number):
        push.push(log.append([click(number)]))
        os.write(answered, f"{number}\n".encode())

    try:
        with ThreadPoolExecutor(4) as clients:
            list(clients.map(report, range(EVENTS)))
    finally:
        os._exit(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_written", [False, True], ids=["before the write", "before the answer"])
def test_acknowledged_events_are_stored_exactly_once(tmp_path, kind, is_written):
    with opened(kind, tmp_path, SEQUENCE_VIEWS) as store:
        reads, writes = os.pipe()
        child = os.fork()
        if not child:
            serve_until_killed(store, tmp_path, 5, is_written, writes)
        os.close(writes)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        with os.fdopen(reads) as answers:
            answered = {int(line) for line in answers}
        assert 0 < len(answered) < EVENTS

        log = EventLog(tmp_path / "live", tmp_path / "serving", now_us)
        logged = [event["event_id"] for event, _ in log.read_unpushed()]
        writer = OnlineWriter(store, lambda _: None)
        push = EventPusher(log, UserWriters(writer.apply_batch), degradation())
        assert push.start() == len(logged)
        # Clients without a response report again.
        for number in range(EVENTS):
            if number not in answered:
                assert push.push(log.append([click(number)]))
        assert push.pending_reports == 0
        push.close()
        log.close()
        found = [
            one for user in range(3) for one in OnlineReader(store).read(f"u{user}").views["recent_clicks"]["event_id"]
        ]
        assert sorted(found) == sorted(f"e{number}" for number in range(EVENTS))
        assert {f"e{number}" for number in answered} <= set(logged)
