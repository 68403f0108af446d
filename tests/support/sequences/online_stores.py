"""Online stores for tests: SQLite, and a real Redis-protocol server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import feast
import pytest

from sequences.online.online_stores import SequenceStore
from sequences.sequence_views import SequenceView
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


@contextmanager
def killed_at(writing: int) -> Iterator[None]:
    """End the materialization in the context after this call that writes rows, if there are so many; the first is the state."""
    write, calls = SequenceStore.write_rows, count(1)

    def write_and_die(self: SequenceStore, *arguments: Any) -> None:
        write(self, *arguments)
        if next(calls) == writing:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(SequenceStore, "write_rows", write_and_die)
        patch.setattr("sequences.online.materialize.ROWS_PER_WRITE", 1)
        yield
