"""Connections to the online store, opened on first use, and the feature contract of its registry."""

import sqlite3

import pytest
import redis

from sequences.views import SEQUENCE_VIEWS
from serving.pipeline.stages import hydrate
from serving.pipeline.stages.hydrate import OnlineStore, StoreUnavailable
from tests.support.sequences.feast_stores import sqlite_store
from tests.support.serving.small_release import degradation


class Registry:
    """Replaces `open_store`: fails until applied, then returns a new store for each call."""

    def __init__(self, folder):
        self.folder, self.is_applied = folder, False

    def open(self, **_):
        if not self.is_applied:
            raise FileNotFoundError("run `feast apply`")
        return sqlite_store(self.folder, SEQUENCE_VIEWS)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    registry = Registry(tmp_path)
    monkeypatch.setattr(hydrate, "open_store", registry.open)
    return registry


@pytest.fixture
def parts():
    return degradation()


@pytest.fixture
def store(registry, parts):
    """A store whose registry exists."""
    registry.is_applied = True
    return OnlineStore(parts)


def event_ids(store):
    return list(store.read("u").views["recent_events"]["event_id"])


def test_fails_until_a_registry_exists(registry, parts):
    store = OnlineStore(parts)
    with pytest.raises(FileNotFoundError, match="feast apply"):
        store.read("u")
    registry.is_applied = True
    assert event_ids(store) == []


def test_contract_excludes_the_live_part(store):
    contract = store.contract()
    assert contract.sequence_views == tuple(SEQUENCE_VIEWS)
    assert contract.features == ("user_profile:plays_total",)


class Rows:
    """Replaces the reader of the store: fails with a given error, for one user or for all."""

    def __init__(self, error, user=None):
        self.error, self.user, self.reads = error, user, []

    def read(self, user_id, known=None):
        self.reads.append(user_id)
        if self.error is not None and self.user in (None, user_id):
            raise self.error
        return {}


@pytest.mark.parametrize(
    "error", [ConnectionError("refused"), TimeoutError("late"), redis.TimeoutError("late")], ids=str
)
def test_unavailable_store_is_not_asked_again_until_a_check_succeeds(store, parts, error):
    store._reader = rows = Rows(error)
    with pytest.raises(type(error)):
        store.read("u")
    with pytest.raises(StoreUnavailable, match=str(error)):
        store.read("v")
    assert rows.reads == ["u"]
    assert "does not respond" in parts.parts["online_store"].why
    store.check()
    assert "online_store" in parts.parts
    rows.error = None
    store.check()
    assert not parts.parts and store.read("v") == {}


def test_damaged_rows_concern_their_user_only_and_are_reported_until_they_can_be_read(store, parts):
    store._reader = rows = Rows(sqlite3.DatabaseError("database disk image is malformed"), "u")
    with pytest.raises(sqlite3.DatabaseError):
        store.read("u")
    assert store.read("v") == {}
    store.check()
    part = parts.parts["online_store"]
    assert "sequences.online.materialize" in part.why and "malformed" in part.error
    rows.error = None
    store.check()
    assert not parts.parts


def test_damaged_file_is_reported(store, parts, tmp_path):
    (tmp_path / "online.db").write_bytes(b"damaged " * 1024)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"online.db{suffix}").unlink(missing_ok=True)
    store.check()
    assert "sequences.online.materialize" in parts.parts["online_store"].why
