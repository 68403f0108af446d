"""`python -m sequences.materialize --as-of 2025-06-01`: the batch part of every user's features into the online store.

The newest L events of each user straight from the event table, and the newest profile; in chunks of users. A run that
was cut off goes on with the chunk it was in; a finished run done again writes the same rows again. Rows carry the time of
the run, so that a store which drops what is not newer takes every run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import feast
import numpy as np
import pyarrow as pa
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from tqdm import tqdm

import settings
from sequences import arrivals
from sequences.definition import SEQUENCE_VIEWS, SequenceView
from sequences.offline_sequences import ListReader
from sequences.online_row import list_value, number, user_key
from sequences.store import marts, open_store

USERS_OF_A_CHUNK = 1000
PROFILE = "user_profile"


def materialize(
    store: feast.FeatureStore,
    as_of: date,
    marts_folder: Path,
    progress_file: Path,
    views: Sequence[SequenceView] = tuple(SEQUENCE_VIEWS.values()),
) -> dict[str, int]:
    """Writes every view; returns the users written in this run, view by view.

    Only what was known before midnight UTC of `as_of` is written. `progress_file` holds how far a cut-off run has come.
    """
    events = marts_folder / "events.parquet"
    as_of_us = int(datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC).timestamp()) * 1_000_000
    progress = _Progress(progress_file, {"as_of": str(as_of), "events": _identity(events)})
    written: dict[str, int] = {}
    for view in views:
        reader = ListReader(str(events), view, view.attribute_names)
        chunks = _chunks(reader, view, as_of_us, progress.done(view.name))
        written[view.name] = _write(store, view.name, chunks, len(reader.timeline.users), progress)
    profiles = marts_folder / "user_profiles.parquet"
    written[PROFILE] = _write(store, PROFILE, _profiles(store, profiles, as_of, progress.done(PROFILE)), None, progress)
    progress.finish()
    return written


Row = tuple[str, dict[str, Value]]
StoredRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


def _chunks(reader: ListReader, view: SequenceView, as_of_us: int, done: int) -> Iterator[tuple[int, list[Row]]]:
    users = reader.timeline.users
    for start in range(done, len(users), USERS_OF_A_CHUNK):
        chunk = users[start : start + USERS_OF_A_CHUNK]
        lists = reader.read(chunk, np.full(len(chunk), as_of_us, dtype=np.int64))
        columns = {
            attribute.name: (attribute.kind, column.offsets.to_pylist(), _plain(column))
            for attribute, column in zip(view.attributes, lists, strict=True)
        }
        rows = [
            (
                user,
                {
                    name: list_value(kind, values[offsets[n] : offsets[n + 1]])
                    for name, (kind, offsets, values) in columns.items()
                },
            )
            for n, user in enumerate(chunk)
        ]
        yield start + len(chunk), rows


def _plain(column: pa.ListArray) -> list[Any]:
    values = column.values
    # NaN must stay a number on the way, and numpy is the faster way for numbers.
    plain: list[Any] = (
        values.to_pylist() if pa.types.is_string(values.type) else values.to_numpy(zero_copy_only=False).tolist()
    )
    return plain


def _profiles(store: feast.FeatureStore, path: Path, as_of: date, done: int) -> Iterator[tuple[int, list[Row]]]:
    names = [feature.name for feature in store.get_feature_view(PROFILE).features]
    columns = ", ".join(f'arg_max("{name}", known_at)' for name in names)
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select user_id, {columns} from read_parquet(?) where known_at <= ? group by user_id order by user_id",  # noqa: S608
            [str(path), datetime(as_of.year, as_of.month, as_of.day)],
        ).fetchall()
    for start in range(done, len(rows), USERS_OF_A_CHUNK):
        chunk = rows[start : start + USERS_OF_A_CHUNK]
        yield (
            start + len(chunk),
            [(user, {n: number(v) for n, v in zip(names, values, strict=True)}) for user, *values in chunk],
        )


def _write(
    store: feast.FeatureStore,
    name: str,
    chunks: Iterable[tuple[int, list[Row]]],
    users: int | None,
    progress: _Progress,
) -> int:
    view, provider, count = store.get_feature_view(name), store._get_provider(), 0
    with tqdm(desc=name, unit="users", total=users, initial=progress.done(name) if users else 0) as bar:
        for done, rows in chunks:
            now = datetime.now(UTC)
            batch: list[StoredRow] = [(user_key(user), values, now, now) for user, values in rows]
            provider.online_write_batch(store.config, view, batch, None)
            progress.advance(name, done)
            bar.update(len(rows))
            count += len(rows)
    return count


class _Progress:
    """How many users of each view are written, of one input; a file that lives as long as an unfinished run."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self._path, self._identity = path, identity
        stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self._done: dict[str, int] = stored["done"] if stored.get("identity") == identity else {}

    def done(self, view: str) -> int:
        return self._done.get(view, 0)

    def advance(self, view: str, users: int) -> None:
        self._done[view] = users
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps({"identity": self._identity, "done": self._done}), encoding="utf-8")
        partial.replace(self._path)

    def finish(self) -> None:
        self._path.unlink(missing_ok=True)


def _identity(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Write every user's newest features to the online store.")
    parser.add_argument("--as-of", required=True, type=date.fromisoformat, help="YYYY-MM-DD: what was known before it")
    arguments = parser.parse_args()
    store = open_store()
    feast_folder = settings.load().feast
    written = materialize(store, arguments.as_of, marts(), feast_folder / "materializing.json")
    arrivals.record(feast_folder, arguments.as_of, marts() / "events.parquet")
    print("materialized " + ", ".join(f"{name} {users:,}" for name, users in written.items()))


if __name__ == "__main__":
    main()
