"""Private sessions of users: what they play meanwhile is acknowledged, and written nowhere.

A session lasts from the event `start_private` to `end_private`, at most `MAX_SESSION_US`. Its times are rows of a SQLite
file, so that it outlasts a restart; they are kept as long as late events of the session may arrive. Of more than
`MAX_SESSIONS` of a user, the oldest become one, with the time between them.

Events that were kept private stay so if they are sent again after the session, perhaps without a time: the file has their ids for
`MAX_AGE_US`, as HMAC with a random key of the home, so that guessed ids cannot be found in it, and without user and time.

If the sessions or the key are lost, every user is in a private session from `MAX_AGE_US` before the loss to `MAX_SESSION_US` after
it, which `end_private` ends as any other. Independent of HTTP.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
import threading
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sequences.behaviours import load_behaviours
from serving.events.event_schema import MAX_AGE_US, Event
from serving.sqlite_file import open_database
from storage import object_store

PRIVATE_SESSIONS_FILE = "private_sessions.sqlite"
KEY_FILE = "private_events.key"
KEY_BYTES = 32
DAY_US = 86_400_000_000
MAX_SESSION_US = 12 * 3600 * 1_000_000
MAX_SESSIONS = 100
START, END = "start_private", "end_private"
EVERYONE = ""
"""User of the session after a loss."""

TABLES = (
    """
    create table if not exists private_sessions (
        user_id text, since_us integer, until_us integer not null, primary key (user_id, since_us)
    ) without rowid
    """,
    # `day`, since 1970, is that of the report, and decides when the row is deleted
    "create table if not exists private_events (code blob primary key, day integer not null) without rowid",
)


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
        folder: Folder of the SQLite file and the key. A damaged file is replaced by an empty one, which is a loss.
        now_us: Current time, µs since 1970, UTC.

    Raises:
        OSError: A file cannot be opened.
    """

    def __init__(self, folder: Path, now_us: Callable[[], int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._now_us, self._lock = now_us, threading.Lock()
        checks = ("select * from private_sessions", "select * from private_events")
        self._database, is_damaged = open_database(
            folder / PRIVATE_SESSIONS_FILE, ("pragma synchronous = full", *TABLES, *checks)
        )
        self._sessions: dict[str, tuple[PrivateSession, ...]] = {}  # ascending
        self._key, is_new_key = _read_or_create_key(folder / KEY_FILE)
        self._note_loss(is_damaged, is_new_key)
        self._delete_old()
        for user_id, since_us, until_us in self._database.execute("select * from private_sessions order by since_us"):
            self._sessions[user_id] = (*self._sessions.get(user_id, ()), PrivateSession(since_us, until_us))

    def _note_loss(self, is_damaged: bool, is_new_key: bool) -> None:
        """Begin a session of everyone if file or key were damaged or are missing. The file is marked with its key."""
        (found,) = self._database.execute("pragma user_version").fetchone()
        mark = int.from_bytes(self._code("")[:3]) + 1
        if found == mark:
            return
        is_first_start = is_new_key and not found and not is_damaged  # or the first one of a version with a key
        with self._database:
            self._database.execute("begin immediate")
            if not is_first_start:
                now_us = self._now_us()
                everyone = (EVERYONE, now_us - MAX_AGE_US, now_us + MAX_SESSION_US)
                self._database.execute("delete from private_events")
                self._database.execute("insert or replace into private_sessions values (?, ?, ?)", everyone)
            self._database.execute(f"pragma user_version = {mark}")

    @property
    def everyones(self) -> PrivateSession | None:
        """The session of everyone that lasts now, after a loss; None if there is none."""
        return self.current(EVERYONE)

    def current(self, user_id: str) -> PrivateSession | None:
        """The session that lasts now; None if there is none."""
        now_us = self._now_us()
        # Without the lock, so that no request waits for a write.
        return next((one for one in self._of(user_id) if one.since_us <= now_us < one.until_us), None)

    @contextmanager
    def without_private(
        self, events: Iterable[Event], is_known: Callable[[str], bool] = lambda _: False
    ) -> Iterator[list[Event]]:
        """Yield the events without those that private sessions keep private: plays, clicks and impressions.

        Also without those that were kept private before. Explicit feedback is kept. Events that begin or end a session take effect
        for the events after them, except duplicates. If the block fails, they have no effect.

        Args:
            events: The events of a report.
            is_known: Whether an event with this id was recorded before.

        Raises:
            OSError: The file could not be read or written.
        """
        with self._lock:
            with _readable_errors():
                kept, changed, private = self._select(list(events), is_known)
            before = {user_id: self._of(user_id) for user_id in changed}
            if changed or private:
                self._write(changed, private)
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

    def _of(self, user_id: str) -> tuple[PrivateSession, ...]:
        return self._sessions.get(user_id, self._sessions.get(EVERYONE, ()))

    def _code(self, event_id: str) -> bytes:
        return hmac.digest(self._key, event_id.encode(), "sha256")

    def _select(
        self, events: Sequence[Event], is_known: Callable[[str], bool]
    ) -> tuple[list[Event], dict[str, tuple[PrivateSession, ...]], set[bytes]]:
        """The events that are kept, the sessions of the users for whom one begins or ends, and codes of newly private events."""
        implicit = {row.action for row in load_behaviours().rows if not row.is_explicit}
        codes = {event["event_id"]: self._code(event["event_id"]) for event in events if event["action"] in implicit}
        known = self._known_codes(list(codes.values()))
        oldest_us = self._now_us() - MAX_AGE_US
        kept: list[Event] = []
        changed: dict[str, tuple[PrivateSession, ...]] = {}
        private = set()
        applied = set()
        for event in events:
            user_id, event_id = event["user_id"], event["event_id"]
            sessions = changed[user_id] if user_id in changed else self._of(user_id)
            if event["action"] in (START, END):
                if event_id not in applied and not is_known(event_id):
                    changed[user_id] = _apply(event, sessions, oldest_us)
                    applied.add(event_id)
            elif event["action"] in implicit:
                code = codes[event_id]
                if code in known or code in private:
                    continue
                if any(one.overlaps(event) for one in sessions):
                    private.add(code)
                    continue
            kept.append(event)
        return kept, changed, private

    def _delete_old(self) -> None:
        oldest_us = self._now_us() - MAX_AGE_US
        with self._database:
            self._database.execute("delete from private_sessions where until_us < ?", (oldest_us,))
            self._database.execute("delete from private_events where day < ?", (oldest_us // DAY_US,))
        self._cleanup_day = self._now_us() // DAY_US

    def _known_codes(self, codes: Sequence[bytes]) -> set[bytes]:
        """Those that were private before."""
        if not codes:
            return set()
        if self._now_us() // DAY_US != self._cleanup_day:
            self._delete_old()
        query = f"select code from private_events where code in ({','.join('?' * len(codes))})"  # noqa: S608
        return {code for (code,) in self._database.execute(query, codes)}

    def _write(self, sessions_of: Mapping[str, tuple[PrivateSession, ...]], private: Collection[bytes] = ()) -> None:
        """Replace the sessions of these users, and add codes of private events, at once."""
        users = [(user_id,) for user_id in sessions_of]
        rows = [(user_id, one.since_us, one.until_us) for user_id, kept in sessions_of.items() for one in kept]
        day = self._now_us() // DAY_US
        with _readable_errors(), self._database:
            self._database.executemany("delete from private_sessions where user_id = ?", users)
            self._database.executemany("insert into private_sessions values (?, ?, ?)", rows)
            self._database.executemany("insert into private_events values (?, ?)", [(code, day) for code in private])
        self._sessions.update(sessions_of)


@contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(
            f"the private sessions cannot be read or stored ({error}); report the events again, and if this lasts, check the "
            "space on the disk and start the recommender again"
        ) from error


def _read_or_create_key(path: Path) -> tuple[bytes, bool]:
    """The key of the home, and whether it was created because the file was missing or damaged."""
    try:
        if len(key := path.read_bytes()) == KEY_BYTES:
            return key, False
    except FileNotFoundError:
        pass
    key = secrets.token_bytes(KEY_BYTES)
    object_store.write(path, key)
    return key, True


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
