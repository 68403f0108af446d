"""Writing of changed rows of the batch part to the online store."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import feast
from tqdm import tqdm

from sequences.online.batch_rows import EncodedRow
from sequences.online.codec import StoredValue
from sequences.online.store_rows import OnlineRowReader, stored_users, write_rows

MAX_WRITE_BYTES = 4 << 20
"""Size of a write transaction."""
USERS_PER_READ = 500
"""Users whose stored rows are compared together."""


class BatchWriter:
    """Writes the rows that differ from the stored ones.

    Args:
        store: The Feast store.
        views: Names of the views that are written.
        row_time: Time of the rows.
        bar: Progress bar of written rows.

    Attributes:
        written: view ▸ number of rows written or emptied.
    """

    def __init__(self, store: feast.FeatureStore, views: Sequence[str], row_time: datetime, bar: tqdm[Any]) -> None:
        self._store, self._row_time, self._bar = store, row_time, bar
        self._views = {name: store.get_feature_view(name) for name in views}
        self._readers = {
            name: OnlineRowReader(store, {view: [feature.name for feature in view.features]})
            for name, view in self._views.items()
        }
        self.written: Counter[str] = Counter()

    def write_range(self, view: str, rows: Sequence[EncodedRow], after: str, to: str | None) -> None:
        """Write the rows of all users in a range of ids; users of the range without a row get an empty one.

        Args:
            view: Name of the view.
            rows: The rows.
            after: Lower bound of the ids, exclusive.
            to: Upper bound, inclusive; None: no bound.
        """
        users, end = self._stored_users, None if to is None else bisect_right(self._stored_users, to)
        stored = users[bisect_right(users, after) : end]
        self.write_users(view, rows, list(dict.fromkeys([*(user for user, _ in rows), *stored])))

    def write_users(self, view: str, rows: Sequence[EncodedRow], users: Sequence[str]) -> None:
        """Write the rows of these users; those without a row get an empty one."""
        values_of = dict(rows)
        for first in range(0, len(users), USERS_PER_READ):
            some = users[first : first + USERS_PER_READ]
            stored = zip(some, self._readers[view].read(some), strict=True)
            before = {user: row[view].values for user, row in stored}
            empty = [user for user in some if user not in values_of and any(before[user].values())]
            changed = [
                (user, values_of[user]) for user in some if user in values_of and values_of[user] != before[user]
            ]
            no_values = dict.fromkeys((feature.name for feature in self._views[view].features), b"")
            self.write(view, [*changed, *((user, no_values) for user in empty)])

    def write(self, view: str, rows: Iterable[EncodedRow]) -> None:
        """Write these rows."""
        batch: list[tuple[str, Mapping[str, Any], datetime]] = []
        size = 0
        for user, values in rows:
            batch.append((user, {name: StoredValue(value) for name, value in values.items()}, self._row_time))
            size += sum(map(len, values.values()))
            if size >= MAX_WRITE_BYTES:
                self._write(view, batch)
                batch, size = [], 0
        if batch:
            self._write(view, batch)

    def _write(self, view: str, batch: Sequence[tuple[str, Mapping[str, Any], datetime]]) -> None:
        write_rows(self._store, self._views[view], batch)
        self.written[view] += len(batch)
        self._bar.update(len(batch))

    @cached_property
    def _stored_users(self) -> list[str]:
        return sorted(stored_users(self._store, list(self._views.values())))
