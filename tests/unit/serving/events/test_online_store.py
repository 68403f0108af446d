"""Connections to the online store, opened on first use, and the feature contract of its registry."""

import sqlite3
from unittest import mock

import pytest
import redis

from sequences.feature_services import ServiceContract
from sequences.sequence_views import SEQUENCE_VIEWS
from serving.pipeline.stages import hydrate
from serving.pipeline.stages.hydrate import OnlineStore, StoreUnavailable
from tests.support.sequences.feast_stores import sqlite_store
from tests.support.serving.small_release import degradation


@pytest.fixture
def parts():
    return degradation()


@pytest.fixture
def store(parts, monkeypatch, tmp_path):
    monkeypatch.setattr(hydrate, "open_store", lambda **_: sqlite_store(tmp_path, SEQUENCE_VIEWS))
    return OnlineStore(parts)


def test_fails_until_a_registry_exists(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(hydrate, "open_store", mock.Mock(side_effect=FileNotFoundError("run `feast apply`")))
        with pytest.raises(FileNotFoundError, match="feast apply"):
            store.read("u")
    assert list(store.read("u").views["recent_events"]["event_id"]) == []


def test_contract_excludes_the_live_part(store):
    assert store.contract() == ServiceContract(tuple(SEQUENCE_VIEWS), ("user_profile:plays_total",))


def reader(error):
    """Replaces the reader of the store, whose reads end with the error, or with these results one after the other."""
    return mock.Mock(**{"read.side_effect": error, "read.return_value": {}})


@pytest.mark.parametrize(
    "error", [ConnectionError("refused"), TimeoutError("late"), redis.TimeoutError("late")], ids=str
)
def test_unavailable_store_is_not_asked_again_until_a_check_succeeds(store, parts, error):
    store._reader = rows = reader(error)
    with pytest.raises(type(error)):
        store.read("u")
    with pytest.raises(StoreUnavailable, match=str(error)):
        store.read("v")
    assert rows.read.call_count == 1
    store.check()
    assert "does not respond" in parts.parts["online_store"].why
    rows.read.side_effect = None
    store.check()
    assert not parts.parts and store.read("v") == {}


def test_damaged_rows_concern_their_user_only_and_are_reported_until_they_can_be_read(store, parts):
    damage = sqlite3.DatabaseError("database disk image is malformed")
    store._reader = rows = reader([damage, {}, {}, damage])
    with pytest.raises(sqlite3.DatabaseError):
        store.read("u")
    assert store.read("v") == {}
    store.check()
    assert rows.read.call_args.args == ("u",), "the check reads the user whose rows are damaged"
    assert "sequences.online.materialize" in parts.parts["online_store"].why
    rows.read.side_effect = None
    store.check()
    assert not parts.parts
