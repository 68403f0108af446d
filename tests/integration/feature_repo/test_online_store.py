"""`SEGUE_ONLINE_STORE` selects Feast's online store; the same views are applied to both stores."""

from __future__ import annotations

import pytest
import redis

from config import settings
from event_store.opened import open_event_store
from sequences.feast_store import open_store
from sequences.online.reader import OnlineReader
from tests.support import valkey
from tests.support.pipeline_commands import FEAST, command
from tests.support.sequences.event_rows import write_events
from tests.support.sequences.reported_events import reported_event


def test_redis_if_selected(here: settings.Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_MARTS", raising=False)  # `open_store` sets it for its process
    write_events(here.marts / "events.parquet", [])
    with valkey.running() as server:
        redis.Redis(port=server.port).config_set("requirepass", "sesame")
        monkeypatch.setenv("SEGUE_ONLINE_STORE", "redis")
        monkeypatch.setenv("SEGUE_REDIS", f"{server.host}:{server.port},db=1,password=sesame")
        command(settings.load_settings(), *FEAST, "-c", "feature_repo", "apply")
        open_event_store(settings.load_settings()).append([reported_event("e1", "u1", 5, action="click")])
        store = open_store()
        assert list(OnlineReader(store).read("u1").views["recent_clicks"]["track_id"]) == ["t1"]
        client = store._get_provider().online_store._get_client(store.config.online_store)
        # A command that timed out is not repeated: a request would wait for all repetitions.
        assert client.get_retry().get_retries() == 1
        assert not issubclass(redis.TimeoutError, client.get_retry()._supported_errors)
    assert not (here.home / "feast" / "online.db").exists()
