"""Private sessions of users: what they play meanwhile is acknowledged, and written nowhere.

A session lasts from the event `start_private` to `end_private`, at most `MAX_SESSION_US`. Its times are rows of a SQLite
file, so that it outlasts a restart; they are kept as long as late events of the session may arrive. Of more than
`MAX_SESSIONS` of a user, the oldest become one, with the time between them. Independent of HTTP.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sequences.behaviours import load_behaviours
from serving.events.event_schema import MAX_AGE_US, Event
from serving.sqlite_file import open_database

PRIVATE_SESSIONS_FILE = "private_sessions.sqlite"
MAX_SESSION_US = 12 * 3600 * 1_000_000
MAX_SESSIONS = 100
START, END = "start_private", "end_private"

TABLE = """
create table if not exists private_sessions (
    user_id text, since_us integer, until_us integer not null, primary key (user_id, since_us)
) without rowid
"""


@dataclass(frozen=True)
class PrivateSession:
    """A private session, µs since 1970, UTC; `until_us` is its latest end while it lasts."""

    since_us: int
    until_us: int

    def overlaps(self, event: Event) -> bool:
        """Whether a part of the event is within the session."""
        return int(event["occurred_at"]) <= self.until_us and int(event["ended_at"]) >= self.since_us


class PrivateSessions:
    """The private sessions of all users; thread-safe. One process per home writes them.

    Args:
        folder: Folder of the SQLite file. A damaged file is replaced by an empty one.
        now_us: Current time, µs since 1970, UTC.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, folder: Path, now_us: Callable[[], int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._now_us, self._lock = now_us, threading.Lock()
        self._database = open_database(
            folder / PRIVATE_SESSIONS_FILE, ("pragma synchronous = full", TABLE, "select * from private_sessions")
        )
        self._sessions: dict[str, tuple[PrivateSession, ...]] = {}  # ascending
        with self._database:
            self._database.execute("delete from private_sessions where until_us < ?", (now_us() - MAX_AGE_US,))
        for user_id, since_us, until_us in self._database.execute("select * from private_sessions order by since_us"):
            self._sessions[user_id] = (*self._sessions.get(user_id, ()), PrivateSession(since_us, until_us))

    def current(self, user_id: str) -> PrivateSession | None:
        """The session that lasts now; None if there is none."""
        now_us = self._now_us()
        # Without the lock, so that no request waits for a write.
        sessions = self._sessions.get(user_id, ())
        return next((one for one in sessions if one.since_us <= now_us < one.until_us), None)

    @contextmanager
    def without_private(
        self, events: Iterable[Event], is_known: Callable[[str], bool] = lambda _: False
    ) -> Iterator[list[Event]]:
        """Yield the events without those that private sessions keep private: plays, clicks and impressions.

        Explicit feedback is kept. Events that begin or end a session take effect for the events after them, except duplicates.
        If the block fails, they have no effect.

        Args:
            events: The events of a report.
            is_known: Whether an event with this id was recorded before.

        Raises:
            OSError: A session could not be written.
        """
        with self._lock:
            kept, changed = self._select(events, is_known)
            before = {user_id: self._sessions.get(user_id, ()) for user_id in changed}
            if changed:
                self._write(changed)
        try:
            yield kept
        except BaseException:
            with self._lock:
                # Except for users whose sessions another report has changed since.
                undone = {
                    user_id: before[user_id] for user_id in changed if self._sessions.get(user_id) is changed[user_id]
                }
                self._sessions.update(undone)  # even if it cannot be written
                if undone:
                    self._write(undone)
            raise

    def erase_users(self, users: Container[str]) -> None:
        """Forget the sessions of these users; `privacy` erases the rows of the file."""
        with self._lock:
            for user_id in [one for one in self._sessions if one in users]:
                del self._sessions[user_id]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _select(
        self, events: Iterable[Event], is_known: Callable[[str], bool]
    ) -> tuple[list[Event], dict[str, tuple[PrivateSession, ...]]]:
        """The events that are kept, and the sessions of the users for whom one begins or ends."""
        implicit = {row.action for row in load_behaviours().rows if not row.is_explicit}
        oldest_us = self._now_us() - MAX_AGE_US
        kept: list[Event] = []
        changed: dict[str, tuple[PrivateSession, ...]] = {}
        applied = set()
        for event in events:
            user_id, event_id = event["user_id"], event["event_id"]
            sessions = changed[user_id] if user_id in changed else self._sessions.get(user_id, ())
            if event["action"] in (START, END):
                if event_id not in applied and not is_known(event_id):
                    changed[user_id] = _apply(event, sessions, oldest_us)
                    applied.add(event_id)
            elif event["action"] in implicit and any(one.overlaps(event) for one in sessions):
                continue
            kept.append(event)
        return kept, changed

    def _write(self, sessions_of: Mapping[str, tuple[PrivateSession, ...]]) -> None:
        """Replace the sessions of these users at once."""
        users = [(user_id,) for user_id in sessions_of]
        rows = [(user_id, one.since_us, one.until_us) for user_id, kept in sessions_of.items() for one in kept]
        try:
            with self._database:
                self._database.executemany("delete from private_sessions where user_id = ?", users)
                self._database.executemany("insert into private_sessions values (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise OSError(f"the private session could not be stored ({error}); report the event again") from error
        self._sessions.update(sessions_of)


def _apply(event: Event, sessions: Sequence[PrivateSession], oldest_us: int) -> tuple[PrivateSession, ...]:
    """The sessions after an event that begins or ends one, without those that are empty or ended before `oldest_us`."""
    at_us = int(event["ended_at"])
    if event["action"] == START:
        is_running = any(one.since_us <= at_us < one.until_us for one in sessions)
        begun = [] if is_running else [PrivateSession(at_us, at_us + MAX_SESSION_US)]
        after = sorted([*sessions, *begun], key=lambda one: one.since_us)
    else:
        after = [
            PrivateSession(one.since_us, min(one.until_us, at_us)) if one.since_us <= at_us else one for one in sessions
        ]
    after = [one for one in after if one.since_us < one.until_us and one.until_us >= oldest_us]
    if len(after) > MAX_SESSIONS:
        oldest = after[: len(after) - MAX_SESSIONS + 1]
        joined = PrivateSession(oldest[0].since_us, max(one.until_us for one in oldest))
        after = [joined, *after[len(oldest) :]]
    return tuple(after)
