"""What changed in a mart since the last materialization, so that the next one reads only that.

Marts publish the rows that a build deleted and inserted (`storage/mart_changes.py`). Rows of a user whose changes are all later
than what was materialized are appended to the stored ones; of other users with changes (late or erased events, other times) all
rows are read. Independent of the store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import feast
import pyarrow as pa

from sequences.views import SequenceView
from storage import mart_changes
from storage.mart_changes import PublishedMart

ROW_FORMAT = 1
"""Increase it when a row is computed differently from the same events and definition."""
MAX_LATER_USERS = 10_000
MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class MartSource:
    """The rows of one mart from which stored rows were computed."""

    version: str  # published version of the mart
    limit: str  # time before which rows were read, ISO 8601 UTC
    later_users: list[str]  # users with rows of that version that were known at the limit or later


@dataclass(frozen=True)
class Source:
    """What the stored rows were computed from."""

    definition: str  # `definition_hash`
    marts: dict[str, MartSource]  # mart ▸ rows; marts that the next run must read whole are missing

    def to_json(self) -> str:
        """The content as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None) -> Source | None:
        """The source of a `to_json` text; None for None."""
        if text is None:
            return None
        content = json.loads(text)
        return cls(content["definition"], {name: MartSource(**mart) for name, mart in content["marts"].items()})


def definition_hash(store: feast.FeatureStore, views: Sequence[SequenceView], others: Iterable[str]) -> str:
    """Hash of everything besides the marts on which rows depend: the views, and what the registry has of them and of others."""
    names = sorted({*(view.name for view in views), *others})
    # The text of a type, because its `repr` contains an address, which differs between processes.
    registered = {name: [(f.name, str(f.dtype)) for f in store.get_feature_view(name).features] for name in names}
    parts = {"format": ROW_FORMAT, "views": [view.to_json() for view in views], "registered": registered}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class ChangedMart:
    """The rows of one mart that a run must read, found with DuckDB; a context manager.

    Args:
        mart: The published mart.
        files: The change files since the previous run, oldest first.
        previous: What the previous run has read.
        limit: Time before which rows are read (naive UTC), not earlier than that of the previous run.
    """

    def __init__(self, mart: PublishedMart, files: Sequence[Path], previous: MartSource, limit: datetime) -> None:
        self._mart, self._files, self._limit = mart, tuple(files), limit
        self._previous = datetime.fromisoformat(previous.limit)
        self._connection = duckdb.connect(config={"threads": 2, "memory_limit": "1GB"})
        self._connection.execute("create table changed (user_id varchar, first timestamp, last timestamp)")
        if files:
            self._connection.execute(
                "insert into changed select user_id, min(known_at), max(known_at)"  # noqa: S608
                f" from {mart_changes.all_changes(files)} group by user_id"
            )
        self._connection.execute(
            "create table late as select user_id from changed where first < $previous", {"previous": self._previous}
        )
        self.add_late(previous.later_users)

    def __enter__(self) -> ChangedMart:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add_late(self, users: Sequence[str]) -> None:
        """Add users all of whose rows must be read."""
        if users:
            self._connection.register("added", pa.table({"user_id": pa.array(users, pa.string())}))
            self._connection.execute("insert into late from added")
            self._connection.unregister("added")

    def late_users(self) -> list[str]:
        """Sorted users all of whose rows must be read: those with other changes than new rows at the end."""
        return self._users("select user_id from late")

    def appended_users(self) -> list[str]:
        """Sorted users with new rows at the end, and no other changes."""
        return self._users("select user_id from changed where user_id not in (select user_id from late)")

    def write_appended(self, path: Path) -> None:
        """Write the new rows of `appended_users`, of which there must be one, sorted by user and time."""
        is_appended = f"user_id not in (select user_id from late) and known_at >= timestamp '{self._previous}'"  # noqa: S608
        self._write(mart_changes.inserted_rows(self._files), is_appended, path)

    def write_late(self, path: Path) -> None:
        """Write all rows of `late_users`, sorted by user and time.

        Raises:
            RuntimeError: The mart was replaced again and again meanwhile.
        """
        for _ in range(MAX_ATTEMPTS):
            mart = self._published()
            self._write(mart_changes.relation(mart), "user_id in (select user_id from late)", path)
            if self._published().version == mart.version:
                return
        raise RuntimeError(f"{self._mart.whole} was replaced {MAX_ATTEMPTS} times while it was read; run this again")

    def later_users(self) -> list[str] | None:
        """Users with rows that are known at the limit or later; None if there are too many to be worth a list."""
        queries = [f"select user_id from changed where last >= timestamp '{self._limit}'"]  # noqa: S608
        if self.late_users():
            queries.append(
                f"select user_id from {mart_changes.relation(self._published())} where user_id in (select user_id from late)"  # noqa: S608
                f" and known_at >= timestamp '{self._limit}'"
            )
        users = self._users(" union all ".join(queries))
        return users if len(users) <= MAX_LATER_USERS else None

    def _published(self) -> PublishedMart:
        return mart_changes.read_published(self._mart.whole.parent, self._mart.whole.stem)

    def _users(self, query: str) -> list[str]:
        rows = self._connection.execute(f"select distinct user_id from ({query}) order by user_id").fetchall()  # noqa: S608
        return [str(user) for (user,) in rows]

    def _write(self, relation: str, condition: str, path: Path) -> None:
        self._connection.execute(
            f"copy (select * from {relation} where {condition} and known_at < timestamp '{self._limit}'"  # noqa: S608
            f" order by user_id, known_at) to '{path}' (format parquet)"
        )


def find_later_users(mart: PublishedMart, limit: datetime) -> list[str] | None:
    """Users with rows of a whole mart that are known at the limit or later; None if there are too many."""
    with duckdb.connect(config={"threads": 2, "memory_limit": "1GB"}) as connection:
        rows = connection.execute(
            "select distinct user_id from read_parquet(?) where known_at >= ? order by user_id limit ?",
            [str(mart.whole), limit, MAX_LATER_USERS + 1],
        ).fetchall()
    return [str(user) for (user,) in rows] if len(rows) <= MAX_LATER_USERS else None
