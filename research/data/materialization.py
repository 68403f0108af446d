"""Materialization into SQLite and a Redis-protocol server, compared with Feast's own `materialize`, unmodified.

Same users, views and online store. Segue reads the whole event table and writes every row of an empty store. Feast has no sequences: to
be exact to the event it needs one row of lists per event, and gets the rows of the last day only, which a daily
run must read; building that table is not counted. The run checks that both stores return the same features afterwards.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import feast

from research.data import synthetic_users
from research.result import Result, compare_rates
from sequences.online.materialize import materialize
from sequences.sequence_views import SEQUENCE_VIEWS
from tests.support import valkey
from tests.support.sequences.feast_stores import sqlite_online_store

FEATURE_REFS = [f"{view.name}:{name}" for view in SEQUENCE_VIEWS.values() for name in view.attribute_names]


def sqlite(users: int) -> Result:
    """Return users per second into SQLite files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return _run(
            "materialize_sqlite",
            folder,
            users,
            sqlite_online_store(folder),
            {"type": "sqlite", "path": f"{name}/feasts.db"},
        )


def redis(users: int) -> Result:
    """Return users per second into two databases of one server."""
    with tempfile.TemporaryDirectory() as name, valkey.running() as server:
        ours = valkey.online_store(server)
        feasts = {"type": "redis", "connection_string": f"{ours['connection_string']},db=1"}
        return _run("materialize_redis", Path(name), users, ours, feasts)


def _run(name: str, folder: Path, users: int, our_online: dict[str, Any], feasts_online: dict[str, Any]) -> Result:
    events = synthetic_users.write_events(folder, users)
    ours = synthetic_users.build_segue_store(folder, our_online)
    feasts = synthetic_users.build_feast_store(folder / "peer", events, feasts_online)

    def our_run() -> None:
        _empty(ours)  # otherwise the run would find nothing to do
        written = materialize(ours, synthetic_users.AS_OF, folder)
        assert written and written["recent_events"] == users, written

    def feasts_run() -> None:
        feasts.materialize(datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))

    with _suppress_output():
        result = compare_rates(name, "users/s", "Feast's materialize", users, our_run, feasts_run)
    for user in (0, users // 2, users - 1):
        assert _read_features(ours, f"u{user:06d}") == _read_features(feasts, f"u{user:06d}"), "the two stores disagree"
    return result


def _empty(store: feast.FeatureStore) -> None:
    views = [*(store.get_feature_view(name) for name in SEQUENCE_VIEWS), store.get_feature_view("user_profile")]
    online: Any = store._get_provider().online_store
    online.teardown(store.config, views, [store.get_entity("user")])


def _read_features(store: feast.FeatureStore, user: str) -> str:
    return repr(store.get_online_features(FEATURE_REFS, [{"user_id": user}], full_feature_names=True).to_dict())


@contextlib.contextmanager
def _suppress_output() -> Iterator[None]:
    # Feast prints a progress bar and a line per view
    with (
        Path("/dev/null").open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
