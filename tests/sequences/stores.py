"""The online stores that a test of the online side runs on: SQLite, and Redis's protocol on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import feast

from sequences.definition import SequenceView
from tests import valkey
from tests.sequences.conftest import write_events
from tests.sequences.store_fixture import feature_store

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
