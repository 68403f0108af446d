"""The path of an event in one process: event log, pusher and online store, with clients that report and read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import feast

from sequences import feast_store
from sequences.views import SEQUENCE_VIEWS
from serving.events import online_store
from serving.events.event_pusher import EventPusher
from serving.events.event_schema import read_event
from serving.events.online_store import OnlineStore
from serving.events.user_writers import UserWriters
from serving.events.write_ahead_log import EventLog
from tests.support.chaos import checker
from tests.support.sequences.feast_stores import feature_store
from tests.support.serving.small_release import degradation


def opener(folder: Path, port: int | None = None) -> Callable[..., feast.FeatureStore]:
    """Replaces `open_store`: stores over a SQLite file, or over a Redis at a port of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{port},socket_timeout=2,socket_connect_timeout=2"
    redis = {"type": "redis", "connection_string": address, "skip_dedup": True}  # as in `feature_store.yaml`

    def open_store(redis_timeout_s: float | None = None) -> feast.FeatureStore:
        online = {"type": "sqlite", "path": str(folder / "online.db")} if port is None else redis
        store = feature_store(folder, SEQUENCE_VIEWS, online)
        if port is not None:
            feast_store.configure_redis(store, redis_timeout_s)
        return store

    return open_store


class EventPath:
    """Event log, pusher and online store of one home, which can be restarted."""

    def __init__(self, home: Path, now_us: Callable[[], int], users: int) -> None:
        self.home, self.now_us, self.users = home, now_us, users
        self.acknowledged: list[str] = []
        self.refused = 0
        self._numbers = itertools.count()
        self.start()

    def start(self) -> None:
        """Open log and store, and replay what was not pushed."""
        self.parts = degradation()
        self.log = EventLog(self.home / "live", self.home / "serving", self.now_us)
        self.store = OnlineStore(lambda _: None, self.parts)
        self.store.open()
        self.pusher = EventPusher(self.log, UserWriters(self.store.apply), self.parts)
        self.pusher.start()
        self.store.start()

    def stop(self) -> None:
        """Close everything."""
        self.store.close()
        self.pusher.close()
        self.log.close()

    def restart(self) -> None:
        """Close everything and start again."""
        self.stop()
        self.start()

    def report(self, count: int = 1) -> tuple[str, bool] | None:
        """Report clicks of one user.

        Returns:
            Id of the last event, and whether the store has it already; None if the report was refused.
        """
        ids = [f"e{next(self._numbers)}" for _ in range(count)]
        user = self.user_of(ids[-1])
        rows: list[dict[str, Any]] = [
            {"event_id": one, "user_id": user, "target_type": "track", "target_id": "t1", "action": "click"}
            for one in ids
        ]
        try:
            appended = self.log.append([read_event(row, self.now_us()) for row in rows])
        except OSError:
            self.refused += 1
            return None
        self.acknowledged += ids
        return ids[-1], self.pusher.push(appended)

    def report_and_read(self) -> None:
        """Report a click; if it was pushed and the store can be read, the read must have it."""
        reported = self.report()
        if reported is None or not reported[1]:
            return
        try:
            clicks = self.store.read(self.user_of(reported[0])).views["recent_clicks"]["event_id"]
        except Exception:
            return
        assert reported[0] in list(clicks), f"{reported[0]} is missing from the next read"

    def user_of(self, event_id: str) -> str:
        """The user of an event."""
        return f"u{int(event_id[1:]) % self.users}"

    def check(self) -> None:
        """Restart, and check that every acknowledged event is in the log and in the store exactly once."""
        self.restart()
        waiting = self.pusher.pending_reports
        assert not waiting, f"{waiting} reports are not pushed after a restart"
        checker.check_ids("event log", checker.logged_ids(self.home), self.acknowledged)
        found = [one for user in range(self.users) for one in self.store.read(f"u{user}")["recent_clicks"]["event_id"]]
        checker.check_ids("online store", found, self.acknowledged)


@contextmanager
def opened(
    monkeypatch: Any, home: Path, open_store: Callable[..., feast.FeatureStore], now_us: Callable[[], int], users: int
) -> Iterator[EventPath]:
    """An event path over this store."""
    monkeypatch.setattr(online_store, "open_store", open_store)
    path = EventPath(home, now_us, users)
    try:
        yield path
    finally:
        path.stop()


@contextmanager
def clients(path: EventPath, reports: int, number: int = 4) -> Iterator[None]:
    """`number` clients that make together `reports` reports while the context runs; waits for them at the end."""
    with ThreadPoolExecutor(number) as pool:
        running = [pool.submit(path.report_and_read) for _ in range(reports)]
        yield
        for one in running:
            one.result()
