"""The service in this process over ASGI, with a release made by hand."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.testclient import TestClient

from config import settings
from config.tool_environment import tool_environment
from sequences.online.live_events import live_events
from sequences.online.reader import StoredUser
from sequences.sequence_views import SEQUENCE_VIEWS
from serving import runtime, service
from serving.observability import structured_log
from serving.observability.metrics import Metrics
from serving.releases.served_release import ServedRelease
from storage.files import atomic_write
from tests.support.serving.small_release import MemoryStore, history


class Store(MemoryStore):
    """A store as the runtime opens it: the user `u` has two plays, and everyone their reported events."""

    def __init__(self, degradation, events):
        super().__init__()
        self.users["u"] = history("t0", "t1")
        self.events = events

    def read(self, user_id, known=None):
        stored, live = super().read(user_id).views, live_events(self.events.of_user(user_id))
        for name, view in SEQUENCE_VIEWS.items():
            members = [event for event in live if view.matches(event["behavior"], event["target_type"])]
            if members:
                empty = {attribute: [] for attribute in view.attribute_names}
                stored[name] = {
                    attribute: [*column, *(event[attribute] for event in members)]
                    for attribute, column in (stored.get(name) or empty).items()
                }
        return StoredUser(lambda: stored, repr(stored))

    def open(self):
        pass

    def check(self):
        pass

    def contract(self):
        raise AssertionError("the release is made by hand")


def use_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Settings and variables of tools belong to `home`."""
    patch.setenv("SEGUE_HOME", str(home))
    for name, value in tool_environment(settings.load_settings()).items():
        patch.setenv(name, value)


def put_in_service(patch: pytest.MonkeyPatch, home: Path, load: Callable[[Path], ServedRelease]) -> None:
    """Recommenders in `home` serve what `load` returns, without warming it up."""
    atomic_write(home / "bentoml" / "active.json", json.dumps({"release": "r1", "path": "made by hand"}))
    patch.setattr(runtime.Runtime, "_load", lambda self, folder: load(folder))
    patch.setattr(runtime, "warm_up", lambda *_: None)


@contextmanager
def kept_loggers() -> Iterator[None]:
    """Undo what `configure_logging` changes."""
    loggers = [logging.getLogger(name) for name in (*structured_log.OWN_LOGGERS, *structured_log.SERVER_LOGGERS)]
    before = [(one.handlers, one.propagate, one.level) for one in loggers]
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@contextmanager
def serving_client(
    home: Path, load: Callable[[Path], ServedRelease], store: type[MemoryStore] = Store
) -> Iterator[TestClient]:
    """A local client of the service, from start to shutdown. Unregisters its metrics, so that another one can start."""
    before = set(REGISTRY._collector_to_names)
    service._metrics.cache_clear()
    try:
        with kept_loggers(), pytest.MonkeyPatch.context() as patch:
            use_home(patch, home)
            patch.setenv("SEGUE_RECALL_DEADLINE_MS", "30000")
            put_in_service(patch, home, load)
            patch.setattr(runtime, "OnlineStore", store)
            patch.setattr(service, "Metrics", lambda: Metrics(CollectorRegistry()))
            with TestClient(service.Recommender.to_asgi(), base_url="http://127.0.0.1") as client:
                yield client
    finally:
        service._metrics.cache_clear()
        for collector in set(REGISTRY._collector_to_names) - before:
            REGISTRY.unregister(collector)
