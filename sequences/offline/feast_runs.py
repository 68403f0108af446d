"""Runs of `feast materialize` beside the pipeline's materialization, which writes only rows whose digest has changed.

Such a run must not set the online store back, and the digests of the rows that it writes no longer describe them.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path

from feast.data_source import DataSource
from feast.repo_config import RepoConfig

from sequences.offline.joined_views import sequence_view_of

PROFILE_SOURCE, PROFILE_VIEW = "user_profiles", "user_profile"


class EarlierRunError(ValueError):
    """A run of `feast materialize` would set the online store back; the message names the right commands."""


def admit_run(config: RepoConfig, source: DataSource, end: datetime) -> None:
    """Let the pipeline write all rows of a view again that `feast materialize` is about to write up to `end`.

    Nothing happens for a view that the pipeline does not write, or before its first run.

    Raises:
        EarlierRunError: The pipeline has already materialized a later day.
    """
    sequence = sequence_view_of(source)
    view = sequence.name if sequence else PROFILE_VIEW if source.name == PROFILE_SOURCE else None
    path = digests_file(Path(config.registry.path).parent, config.online_store.type)
    if view is None or not path.exists():
        return
    with materialization_lock(path), closing(sqlite3.connect(path)) as connection:
        as_of = connection.execute("select value from facts where name = 'as_of'").fetchone()
        if as_of and end.astimezone(UTC) < datetime.combine(date.fromisoformat(as_of[0]), time(), UTC):
            raise EarlierRunError(
                f"the online store has everything known before {as_of[0]}, and materializing {view!r} to {end} would set "
                f"it back; use {as_of[0]}T00:00:00 or a later end, or set all views back with `python -m "
                f"local.environment python -m sequences.online.materialize --as-of {end:%Y-%m-%d} --force`"
            )
        distrust_rows(connection, view)


def distrust_rows(connection: sqlite3.Connection, view: str | None = None) -> None:
    """Let the next run of the pipeline write all rows of a view again, or of all views."""
    connection.execute("update digests set digest = x'' where ?1 is null or view = ?1", (view,))
    connection.execute("delete from facts where name = 'source'")
    connection.commit()


def digests_file(folder: Path, online_store: str) -> Path:
    """Path of the digest database of an online store type, in Feast's folder."""
    return folder / f"materialized-{online_store}.db"


@contextmanager
def materialization_lock(path: Path) -> Iterator[None]:
    """Exclusive lock for writing the batch part of the store with the digest database `path`; waits for its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
