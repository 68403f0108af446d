"""Rows of the batch part, computed from a mart: all of them, or those that changed since the previous run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import feast

from sequences.online.batch_rows import EncodedRow, UserChunk, encode_batch_rows
from sequences.online.batch_writer import BatchWriter
from sequences.online.changed_users import ChangedMart
from sequences.online.codec import append_lists
from sequences.online.materialization_state import MaterializationState, row_digest
from sequences.online.store_rows import OnlineRowReader, to_int_value
from sequences.views import SequenceView

USERS_PER_CHUNK = 10_000
APPENDED_EVENTS_PER_CHUNK = 16_384
"""Small, because the stored rows of all users of a chunk are read, which are much larger than the new events."""
FILE_OF_ROWS = "rows.parquet"


class EventRows:
    """Rows of the sequence views, from the event table.

    Args:
        store: The Feast store.
        state: Digests of the stored rows.
        writer: Writes the rows.
        views: The views.
        midnight: Events known before it are used (naive UTC).
    """

    mart = "events"

    def __init__(
        self,
        store: feast.FeatureStore,
        state: MaterializationState,
        writer: BatchWriter,
        views: Sequence[SequenceView],
        midnight: datetime,
    ) -> None:
        self._state, self._writer, self._views, self.limit = state, writer, views, midnight
        self._reader = OnlineRowReader(store, {view.name: view.attribute_names for view in views})

    def write_all(self, path: Path) -> None:
        """Write the rows of all users."""
        after = ""
        for chunk in encode_batch_rows(path, self._views, self.limit):
            for view in self._views:
                self._writer.write_range(view.name, chunk.rows[view.name], after, chunk.last_user)
            after = chunk.last_user
        for view in self._views:
            self._writer.write_range(view.name, [], after, None)

    def write_changed(self, changes: ChangedMart, folder: Path) -> None:
        """Write the rows of the users that changed. `folder` is for temporary files."""
        if changes.appended_users():
            changes.write_appended(folder / FILE_OF_ROWS)
            for chunk in encode_batch_rows(folder / FILE_OF_ROWS, self._views, self.limit, APPENDED_EVENTS_PER_CHUNK):
                changes.add_late(self._append(chunk))
        after = ""
        if late := changes.late_users():
            changes.write_late(folder / FILE_OF_ROWS)
            for chunk in encode_batch_rows(folder / FILE_OF_ROWS, self._views, self.limit):
                users = [user for user in late if after < user <= chunk.last_user]
                for view in self._views:
                    self._writer.write_users(view.name, chunk.rows[view.name], users)
                after = chunk.last_user
        for view in self._views:
            self._writer.write_users(view.name, [], [user for user in late if user > after])

    def _append(self, chunk: UserChunk) -> list[str]:
        """Append the events of a chunk to the stored rows; returns users whose stored rows are not those that were written."""
        users = sorted({user for rows in chunk.rows.values() for user, _ in rows})
        stored = dict(zip(users, self._reader.read(users), strict=True))
        digests = {view.name: self._state.read_digests(view.name, users) for view in self._views}
        replaced = set()
        for view in self._views:
            kinds = {attribute.name: attribute.kind for attribute in view.attributes}
            rows: list[EncodedRow] = []
            for user, added in chunk.rows[view.name]:
                digest = digests[view.name].get(user)
                values = {name: stored[user][view.name].values.get(name) or b"" for name in kinds}
                if digest is None:
                    rows.append((user, added))
                elif row_digest(values) == digest:
                    rows.append((user, append_lists(kinds, values, added, view.length)))
                else:
                    replaced.add(user)
            self._writer.write_users(view.name, rows, [user for user, _ in rows])
        return sorted(replaced)


class ProfileRows:
    """Rows of the newest profile of each user.

    Args:
        store: The Feast store.
        writer: Writes the rows.
        view: Name of the feature view.
        midnight: Profiles known until then are used (naive UTC).
    """

    mart = "user_profiles"

    def __init__(self, store: feast.FeatureStore, writer: BatchWriter, view: str, midnight: datetime) -> None:
        self._writer, self._view, self.limit = writer, view, midnight + timedelta(microseconds=1)
        self._names = [feature.name for feature in store.get_feature_view(view).features]

    def write_all(self, path: Path) -> None:
        """Write the rows of all users."""
        after = ""
        for rows in self._read(path):
            self._writer.write_range(self._view, rows, after, rows[-1][0])
            after = rows[-1][0]
        self._writer.write_range(self._view, [], after, None)

    def write_changed(self, changes: ChangedMart, folder: Path) -> None:
        """Write the rows of the users that changed. `folder` is for temporary files."""
        if changes.appended_users():
            changes.write_appended(folder / FILE_OF_ROWS)
            for rows in self._read(folder / FILE_OF_ROWS):
                self._writer.write_users(self._view, rows, [user for user, _ in rows])
        if late := changes.late_users():
            changes.write_late(folder / FILE_OF_ROWS)
            found = [row for rows in self._read(folder / FILE_OF_ROWS) for row in rows]
            self._writer.write_users(self._view, found, late)

    def _read(self, path: Path) -> Iterator[list[EncodedRow]]:
        """The newest profile of each user that is known before the limit, in chunks sorted by user."""
        columns = ", ".join(f'arg_max("{name}", known_at)' for name in self._names)
        with duckdb.connect() as connection:
            profiles = connection.execute(
                f"select user_id, {columns} from read_parquet(?) where known_at < ? group by user_id order by user_id",  # noqa: S608
                [str(path), self.limit],
            )
            while chunk := profiles.fetchmany(USERS_PER_CHUNK):
                yield [
                    (
                        user,
                        {
                            name: to_int_value(value).SerializeToString()
                            for name, value in zip(self._names, values, strict=True)
                        },
                    )
                    for user, *values in chunk
                ]
