"""Writing of changed rows of the batch part to the online store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import feast
from tqdm import tqdm

from sequences.online.batch_rows import EncodedRow
from sequences.online.codec import StoredValue
from sequences.online.materialization_state import MaterializationState, row_digest
from sequences.online.store_rows import write_rows

MAX_WRITE_BYTES = 4 << 20
"""Size of a write transaction. SQLite has one writer: this size delays a live event by some tens of milliseconds."""
MAX_EMPTIED_ROWS = 500
"""Rows that are emptied in one transaction, for the same reason."""


class BatchWriter:
    """Writes the rows that differ from the stored ones.

    Args:
        store: The Feast store.
        state: Digests of the stored rows.
        bar: Progress bar of written rows.

    Attributes:
        written: view ▸ number of rows written or emptied.
    """

    def __init__(self, store: feast.FeatureStore, state: MaterializationState, bar: tqdm[Any]) -> None:
        self._store, self._state, self._bar = store, state, bar
        self.written: Counter[str] = Counter()

    def write_range(self, view: str, rows: Sequence[EncodedRow], after: str, to: str | None) -> None:
        """Write the rows of all users in a range of ids; users of the range without a row get an empty one.

        Args:
            view: Name of the view.
            rows: The rows.
            after: Lower bound of the ids, exclusive.
            to: Upper bound, inclusive; None: no bound.
        """
        digests = {user: row_digest(values) for user, values in rows}
        changed, gone = self._state.diff_rows(view, digests, after, to)
        self._write(view, rows, digests, changed, gone)

    def write_users(self, view: str, rows: Sequence[EncodedRow], users: Sequence[str]) -> None:
        """Write the rows of these users; those without a row get an empty one."""
        digests = {user: row_digest(values) for user, values in rows}
        stored = self._state.read_digests(view, users)
        changed = [user for user in digests if digests[user] != stored.get(user)]
        self._write(view, rows, digests, changed, sorted(stored.keys() - digests.keys()))

    def _write(
        self,
        view: str,
        rows: Sequence[EncodedRow],
        digests: Mapping[str, bytes],
        changed: Sequence[str],
        gone: Sequence[str],
    ) -> None:
        stored_view, time, values_of = self._store.get_feature_view(view), self._state.row_time, dict(rows)
        for users in _batches(changed, values_of):
            write_rows(self._store, stored_view, [(user, _stored_values(values_of[user]), time) for user in users])
            self._state.record_written(view, [(user, digests[user]) for user in users])
        empty_row = {feature.name: StoredValue(b"") for feature in stored_view.features}
        for first in range(0, len(gone), MAX_EMPTIED_ROWS):
            users = list(gone[first : first + MAX_EMPTIED_ROWS])
            write_rows(self._store, stored_view, [(user, empty_row, time) for user in users])
            self._state.record_emptied(view, users)
        count = len(changed) + len(gone)
        self.written[view] += count
        self._bar.update(count)


def _batches(users: Iterable[str], values_of: Mapping[str, Mapping[str, bytes]]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for user in users:
        batch.append(user)
        size += sum(map(len, values_of[user].values()))
        if size >= MAX_WRITE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _stored_values(values: Mapping[str, bytes]) -> dict[str, Any]:
    return {name: StoredValue(value) for name, value in values.items()}
