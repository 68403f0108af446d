"""Online stores for tests: SQLite, and a real Redis-protocol server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import feast

from sequences.views import SequenceView
from tests.support import valkey
from tests.support.sequences.event_rows import write_events
from tests.support.sequences.feast_stores import feature_store, sqlite_store

KINDS = ("sqlite", "redis")


@contextmanager
def opened(kind: str, folder: Path, views: dict[str, SequenceView]) -> Iterator[feast.FeatureStore]:
    """A store of the given kind with the views applied over an empty event table in `folder`."""
    write_events(folder / "events.parquet", [])
    if kind == "sqlite":
        yield sqlite_store(folder, views)
    else:
        with valkey.running() as server:
            yield feature_store(folder, views, valkey.online_store(server))
