"""Reports: what is committed of them, and what is said about them."""

from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from event_store.sqlite_stores import SqliteEventStore
from serving.events.ingest import EventIngestor
from serving.observability.metrics import Metrics

NOW = 1_800_000_000_000_000
PLAY = {"user_id": "u", "target_type": "track", "target_id": "t", "action": "play", "played_ms": 150_000}


@pytest.fixture
def store(tmp_path):
    store = SqliteEventStore(tmp_path, lambda: NOW)
    yield store
    store.close()


@pytest.fixture
def ingestor(store):
    tracks = SimpleNamespace(duration_of={"t": 200_000}.get, is_known=lambda track: track == "t")
    return EventIngestor(store, tracks, Metrics(CollectorRegistry()), lambda: NOW)


def test_valid_rows_are_committed_with_their_behavior_and_the_others_are_named(ingestor, store):
    rows = [PLAY, PLAY | {"target_id": "x"}, {"user_id": "u"}, PLAY | {"user_id": "gone"}]
    report = ingestor.ingest(rows, erased={"gone"})
    assert (report.accepted, report.duplicate) == (2, 0)
    assert [row.index for row in report.rejected] == [2, 3] and "was erased" in report.rejected[1].reason
    assert [(row.index, row.track_id) for row in report.unknown_tracks] == [(1, "x")]
    behaviors = [(one["behavior"], one.get("played_ratio")) for _, one in store.read(None, 9)]
    assert behaviors == [("play", 0.75), ("play", None)]


def test_a_report_that_is_sent_again_changes_nothing(ingestor, store):
    start = {"event_id": "s", "user_id": "u", "target_type": "session", "target_id": "s", "action": "start_private"}
    assert ingestor.ingest([start, PLAY]).private == 1
    assert ingestor.ingest([start | {"event_id": "e", "action": "end_private"}]).accepted == 1
    assert ingestor.ingest([start]).duplicate == 1
    assert store.private_session("u") is None
