"""The online stores that a test of the online side runs on: SQLite, and Redis's protocol on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import feast

from sequences.views import SequenceView
from tests.support import valkey
from tests.support.sequences.event_rows import write_events
from tests.support.sequences.feast_stores import feature_store

KINDS = ("sqlite", "redis")


@contextmanager
def opened(kind: str, folder: Path, views: dict[str, SequenceView]) -> Iterator[feast.FeatureStore]:
    """The views over an empty event table in `folder`, applied to an online store of this kind."""
    write_events(folder / "events.parquet", [])
    if kind == "sqlite":
        yield feature_store(folder, views, {"type": "sqlite", "path": str(folder / "online.db")})
    else:
        with valkey.running() as server:
            yield feature_store(folder, views, valkey.online_store(server))
