"""Connections to the online store, opened on first use, and the feature contract of its registry."""

import pytest

from sequences.views import SEQUENCE_VIEWS
from serving.events import online_store
from serving.events.online_store import OnlineStore
from tests.support.sequences.feast_stores import sqlite_store

EVENT = {
    "event_id": "e",
    "user_id": "u",
    "sequence_number": 1,
    "target_type": "track",
    "target_id": "t",
    "occurred_at": 1_700_000_000_000_000,
    "ended_at": 1_700_000_180_000_000,
    "action": "play",
    "played_ms": 180_000,
}


class Registry:
    """Replaces `open_store`: fails until applied, then returns a new store for each call."""

    def __init__(self, folder):
        self.folder, self.is_applied, self.opened = folder, False, 0

    def open(self):
        if not self.is_applied:
            raise FileNotFoundError("run `feast apply`")
        self.opened += 1
        return sqlite_store(self.folder, SEQUENCE_VIEWS)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    registry = Registry(tmp_path)
    monkeypatch.setattr(online_store, "open_store", registry.open)
    return registry


def test_fails_until_a_registry_exists(registry):
    store = OnlineStore(lambda track: 200_000)
    for call in (lambda: store.read("u"), lambda: store.apply({"u": [EVENT]})):
        with pytest.raises(FileNotFoundError, match="feast apply"):
            call()
    registry.is_applied = True
    store.apply({"u": [EVENT]})
    assert list(store.read("u")["recent_events"]["event_id"]) == ["e"]
    assert list(store.read("u")["recent_events"]["behaviour"]) == ["full_play"]


def test_writer_and_reader_keep_their_connections(registry):
    registry.is_applied = True
    store = OnlineStore(lambda track: None)
    for _ in range(3):
        store.apply({"u": [EVENT]})
        store.read("u")
    assert registry.opened == 2


def test_contract_excludes_the_live_part(registry):
    registry.is_applied = True
    contract = OnlineStore(lambda track: None).contract()
    assert contract.sequence_views == tuple(SEQUENCE_VIEWS)
    assert contract.features == ("user_profile:plays_total",)
