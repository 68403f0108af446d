"""Reports: what is committed of them, and what is said about them."""

from contextlib import closing
from types import SimpleNamespace

from prometheus_client import CollectorRegistry

from event_store.sqlite_stores import SqliteEventStore
from serving.events.ingest import EventIngestor
from serving.observability.metrics import Metrics

NOW = 1_800_000_000_000_000
PLAY = {"user_id": "u", "target_type": "track", "target_id": "t", "action": "play", "played_ms": 150_000}


def test_valid_rows_are_committed_with_their_behavior_and_the_others_are_named(tmp_path):
    tracks = SimpleNamespace(duration_of={"t": 200_000}.get, is_known=lambda track: track == "t")
    with closing(SqliteEventStore(tmp_path, lambda: NOW)) as store:
        ingestor = EventIngestor(store, tracks, Metrics(CollectorRegistry()), lambda: NOW)
        report = ingestor.ingest(
            [PLAY, PLAY | {"target_id": "x"}, {"user_id": "u"}, PLAY | {"user_id": "gone"}], erased={"gone"}
        )
        stored = [event for _, event in store.read(None, 9)]
    assert (report.accepted, report.duplicate) == (2, 0)
    assert [row.index for row in report.rejected] == [2, 3] and "was erased" in report.rejected[1].reason
    assert [(row.index, row.track_id) for row in report.unknown_tracks] == [(1, "x")]
    assert [(one["behavior"], one.get("played_ratio")) for one in stored] == [("play", 0.75), ("play", None)]
