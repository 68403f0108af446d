"""Connections to the online store, opened on first use, and the feature contract of its registry."""

import sqlite3

import pytest
import redis

from sequences.online.materialization_state import MaterializationState
from sequences.online.reader_writer import StoredUser, WriteConflict
from sequences.views import SEQUENCE_VIEWS
from serving.events import online_store
from serving.events.online_store import DamagedRows, OnlineStore
from serving.pipeline.stages.hydrate import StoreUnavailable
from tests.support.sequences.feast_stores import sqlite_store
from tests.support.serving.small_release import degradation

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
        self.folder, self.is_applied = folder, False

    def open(self, **_):
        if not self.is_applied:
            raise FileNotFoundError("run `feast apply`")
        return sqlite_store(self.folder, SEQUENCE_VIEWS)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    registry = Registry(tmp_path)
    monkeypatch.setattr(online_store, "open_store", registry.open)
    return registry


@pytest.fixture
def parts():
    return degradation()


@pytest.fixture
def store(registry, parts):
    """A store whose registry exists."""
    registry.is_applied = True
    return OnlineStore(lambda track: None, parts)


def event_ids(store):
    return list(store.read("u").views["recent_events"]["event_id"])


def test_fails_until_a_registry_exists(registry, parts):
    store = OnlineStore(lambda track: 200_000, parts)
    for call in (lambda: store.read("u"), lambda: store.apply({"u": [EVENT]})):
        with pytest.raises(FileNotFoundError, match="feast apply"):
            call()
    registry.is_applied = True
    store.apply({"u": [EVENT]})
    assert event_ids(store) == ["e"]
    assert list(store.read("u").views["recent_events"]["behaviour"]) == ["full_play"]


def test_contract_excludes_the_live_part(store):
    contract = store.contract()
    assert contract.sequence_views == tuple(SEQUENCE_VIEWS)
    assert contract.features == ("user_profile:plays_total",)


class Rows:
    """Replaces the reader of the store: fails with a given error, for one user or for all."""

    def __init__(self, error, user=None):
        self.error, self.user, self.reads = error, user, []

    def read(self, user_id):
        self.reads.append(user_id)
        if self.error is not None and self.user in (None, user_id):
            raise self.error
        return StoredUser(dict)


@pytest.mark.parametrize(
    "error", [ConnectionError("refused"), TimeoutError("late"), redis.TimeoutError("late")], ids=str
)
def test_unavailable_store_is_not_asked_again_until_a_check_succeeds(store, parts, error):
    store._reader = rows = Rows(error)
    with pytest.raises(type(error)):
        store.read("u")
    for call in (lambda: store.read("v"), lambda: store.apply({"u": [EVENT]})):
        with pytest.raises(StoreUnavailable, match=str(error)):
            call()
    assert rows.reads == ["u"]
    assert "does not respond" in parts.parts["online_store"].why
    store.check()
    assert "online_store" in parts.parts
    rows.error = None
    store.check()
    assert not parts.parts and store.read("v").views == {}


def test_damaged_rows_concern_their_user_only_and_are_reported_until_they_can_be_read(store, parts):
    store._reader = rows = Rows(sqlite3.DatabaseError("database disk image is malformed"), "u")
    with pytest.raises(sqlite3.DatabaseError):
        store.read("u")
    assert store.read("v").views == {}
    store.check()
    part = parts.parts["online_store"]
    assert "sequences.online.rebuild" in part.why and "malformed" in part.error
    rows.error = None
    store.check()
    assert not parts.parts


def test_a_write_conflict_names_no_user_and_is_no_failure_of_reads(store, parts, monkeypatch):
    store.open()
    monkeypatch.setattr(store._writer, "_attempt_write", lambda new: (dict.fromkeys(new, 1), ["anna@example.org"]))
    with pytest.raises(WriteConflict) as conflict:
        store.apply({user: [EVENT | {"user_id": user}] for user in ("anna@example.org", "ben@example.org")})
    assert "the rows of 1 of 2 users" in str(conflict.value) and "@" not in str(conflict.value)
    assert not parts.parts


def test_missing_tables_are_reported_and_events_can_be_pushed_later(store, parts, tmp_path):
    store.open()
    store.check()
    assert not parts.parts
    connection = sqlite3.connect(tmp_path / "online.db")
    connection.execute("alter table tests_live_events rename to elsewhere")
    connection.commit()
    store.check()
    assert "no such table" in parts.parts["online_store"].error
    with pytest.raises(DamagedRows, match="no such table"):
        store.apply({"u": [EVENT]})
    connection.execute("alter table elsewhere rename to tests_live_events")
    connection.commit()
    connection.close()
    store.check()
    store.apply({"u": [EVENT]})
    assert not parts.parts and event_ids(store) == ["e"]


def test_materialized_store_is_not_degraded(store, parts, registry, tmp_path):
    MaterializationState(tmp_path / "digests.db", registry.open()).close()  # writes the marker row
    store.check()
    assert not parts.parts


def test_damaged_file_is_reported(store, parts, tmp_path):
    (tmp_path / "online.db").write_bytes(b"damaged " * 1024)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"online.db{suffix}").unlink(missing_ok=True)
    store.check()
    assert "sequences.online.rebuild" in parts.parts["online_store"].why


def test_replaced_file_is_opened_again(store, tmp_path):
    store.apply({"u": [EVENT]})
    assert event_ids(store) == ["e"]
    for file in tmp_path.glob("online.db*"):
        file.unlink()
    (tmp_path / "registry.db").unlink()
    sqlite_store(tmp_path, SEQUENCE_VIEWS)
    store.check()
    assert event_ids(store) == []
    store.apply({"u": [EVENT]})
    assert event_ids(store) == ["e"]
