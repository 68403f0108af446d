"""Test client of the service in this process, over ASGI."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY
from starlette.testclient import TestClient


@contextmanager
def client_of(app) -> Iterator[TestClient]:
    """A local client of an app, from start to shutdown. Unregisters the app's metrics, so that another app can start."""
    before = set(REGISTRY._collector_to_names)
    try:
        with TestClient(app, base_url="http://127.0.0.1") as client:
            yield client
    finally:
        for collector in set(REGISTRY._collector_to_names) - before:
            REGISTRY.unregister(collector)
