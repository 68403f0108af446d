"""Reports that are sent again or fail, with the real log and private sessions."""

from unittest import mock

import pytest
from prometheus_client import CollectorRegistry

from serving.events.event_pusher import EventPusher
from serving.events.ingest import EventIngestor
from serving.events.private_sessions import PrivateSessions
from serving.events.user_writers import UserWriters
from serving.events.write_ahead_log import EventLog
from serving.observability.degraded_parts import Degradation
from serving.observability.metrics import Metrics

MINUTE = 60_000_000
NOW = 1_800_000_000_000_000


class Reports:
    """The parts that a report passes, with a manual clock."""

    def __init__(self, home):
        self.now, metrics = NOW, Metrics(CollectorRegistry())
        self.log = EventLog(home / "live", home / "serving", lambda: self.now)
        self.sessions = PrivateSessions(home / "serving", lambda: self.now)
        pusher = EventPusher(self.log, UserWriters(lambda _: None), Degradation(metrics))
        self.parts = (pusher, self.log, self.sessions)
        self.ingestor = EventIngestor(
            *(self.log, pusher, lambda _: None, metrics, lambda: self.now),
            without_private=self.sessions.without_private,
        )

    def send(self, event_id, action):
        row = {"event_id": event_id, "user_id": "u", "target_type": "session", "target_id": "s", "action": action}
        return self.ingestor.ingest([row])


@pytest.fixture
def reports(tmp_path):
    made = Reports(tmp_path)
    yield made
    for part in made.parts:
        part.close()


def test_a_repeated_report_begins_no_private_session(reports):
    assert reports.send("e1", "start_private").accepted == 1
    reports.now += MINUTE
    assert reports.send("e2", "end_private").accepted == 1
    reports.now += MINUTE
    assert reports.send("e1", "start_private").duplicate == 1
    assert reports.sessions.current("u") is None


def test_an_event_that_was_kept_private_is_not_recorded_when_it_is_sent_again(reports):
    row = {"event_id": "e2", "user_id": "u", "target_type": "track", "target_id": "t", "action": "play", "played_ms": 1}
    reports.send("e1", "start_private")
    reports.now += MINUTE
    assert reports.ingestor.ingest([row]).private == 1
    reports.send("e3", "end_private")
    reports.now += MINUTE
    repeated = reports.ingestor.ingest([row, row | {"event_id": "e4"}])
    assert (repeated.private, repeated.accepted) == (1, 1)


def test_a_report_that_is_not_logged_begins_no_private_session(reports, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(reports.log, "append", mock.Mock(side_effect=OSError("the disk is full")))
        reports.send("e1", "start_private")
    assert reports.sessions.current("u") is None
    assert reports.send("e1", "start_private").accepted == 1
    assert reports.sessions.current("u").since_us == NOW
