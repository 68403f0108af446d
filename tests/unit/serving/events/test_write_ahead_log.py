"""Durability: acknowledged events are in the log exactly once, even after a crash."""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from serving.events import event_pusher
from serving.events.daily_jsonl import DailyJsonlFile
from serving.events.event_pusher import EventPusher
from serving.events.event_schema import MICROSECONDS_PER_SECOND, read_event
from serving.events.user_writers import UserWriters
from serving.events.write_ahead_log import (
    EVENT_LOG_PREFIX,
    RESERVED_NUMBERS_FILE,
    EventLog,
    LowWatermark,
)
from storage import daily_files
from storage.file_lock import LockHeld
from tests.support.serving.small_release import degradation
from tests.support.waiting import wait_until

NOW = 1_800_000_000 * MICROSECONDS_PER_SECOND
DAY = 86_400 * MICROSECONDS_PER_SECOND


def event(event_id, user_id="u", **columns):
    row = {"event_id": event_id, "user_id": user_id, "target_type": "track", "target_id": "t", "action": "click"}
    return read_event(row | columns, NOW)


class Store:
    """An online store that keeps events by id and can fail.

    When it has `after` events, it keeps the low watermark that is on the disk, with which a killed process would continue.
    """

    def __init__(self, watermark, after=0):
        self.events, self.is_away = {}, False
        self.watermark, self.after, self.saved = watermark, after, None

    def apply(self, events_of):
        if self.is_away:
            raise ConnectionError("store is away")
        for user_id, events in events_of.items():
            for one in events:
                assert one["user_id"] == user_id
                self.events[one["event_id"]] = one
        if len(self.events) == self.after:
            self.saved = json.loads(self.watermark.read_text())


class Home:
    """The log and the pusher of one process after another; each closes those of the process before."""

    def __init__(self, folder):
        self.folder, self.now, self.parts, self.excluded = folder, NOW, degradation(), []
        self.store = Store(folder / "serving" / "pushed.json")
        self.log = self.push = None

    def open(self):
        self.close()
        self.log = EventLog(self.folder / "live", self.folder / "serving", lambda: self.now, lock_timeout_s=0.2)
        return self.log

    def start(self, writers=None):
        """Start the log and the pusher; returns the number of replayed events."""
        writers = writers or UserWriters(self.store.apply)
        self.push = EventPusher(self.open(), writers, self.parts, self.excluded.extend)
        return self.push.start()

    def report(self, *names, user_id="u"):
        """Whether the events of a report are in the store when it is answered."""
        return self.push.push(self.log.append([event(name, user_id) for name in names]))

    def close(self):
        for part in filter(None, (self.push, self.log)):
            part.close()
        self.push = self.log = None

    @property
    def files(self):
        return daily_files.list_files(self.folder / "live", EVENT_LOG_PREFIX)

    def logged(self):
        return [json.loads(line) for path in self.files for line, _ in daily_files.read_lines(path)]

    def logged_ids(self):
        return [row["event_id"] for row in self.logged()]


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made
    made.close()


@pytest.fixture
def no_retries(monkeypatch):
    """The pusher retries only when it is told to."""
    monkeypatch.setattr(event_pusher, "RETRY_INTERVAL_S", 3600)


def _raise_disk_full(*_):
    raise OSError("disk full")


def test_events_are_deduplicated_within_and_across_reports_and_restarts(home):
    log = home.open()
    assert [len(log.append([event("a"), event("b"), event("a")]).events), log.append([event("b")]).duplicate] == [2, 1]
    answer = home.open().append([event("a"), event("c")])
    assert (answer.duplicate, [one["event_id"] for one in answer.events]) == (1, ["c"])
    assert home.logged_ids() == ["a", "b", "c"]


def test_group_commit_shares_a_sync(home, monkeypatch):
    syncs = []
    held = threading.Event()
    sync = DailyJsonlFile.sync

    def counted(self):
        syncs.append(1)
        if len(syncs) == 1:
            held.wait(60)
        sync(self)

    monkeypatch.setattr(DailyJsonlFile, "sync", counted)
    log = home.open()
    with ThreadPoolExecutor(40) as clients:
        answers = [clients.submit(log.append, [event("e0")])]
        wait_until(lambda: syncs, "the first commit")
        # The first commit waits in its sync, so that the other reports are in the queue together.
        answers += [clients.submit(log.append, [event(f"e{number}")]) for number in range(1, 40)]
        wait_until(lambda: log._reports.qsize() == 39, "the other reports")
        held.set()
        assert all(len(answer.result().events) == 1 for answer in answers)
    assert len(syncs) == 2
    assert set(home.logged_ids()) == {f"e{number}" for number in range(40)}


@pytest.mark.parametrize(
    "torn", [b'{"event_id":"torn","user_', b"x" * (daily_files.TAIL_BYTES + 9)], ids=["row", "long"]
)
def test_incomplete_last_line_is_removed(home, torn):
    home.open().append([event("a")])
    home.close()
    (path,) = home.files
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    log = home.open()
    assert log.repaired_files == [path] and path.read_bytes() == whole
    assert len(log.append([event("torn")]).events) == 1
    assert home.logged_ids() == ["a", "torn"]


def test_each_day_has_its_own_file(home):
    log = home.open()
    for name in ("a", "b"):
        log.append([event(name)])
        home.now += DAY
    assert {path.parent.name for path in home.files} == {"dt=2027-01-15", "dt=2027-01-16"}


def test_failed_writes_leave_no_file_and_no_line(home, monkeypatch):
    log, write = home.open(), os.write
    log.append([event("a")])
    for part, name, fail in (
        (os, "write", lambda descriptor, lines: write(descriptor, lines[:9]) and _raise_disk_full()),
        (DailyJsonlFile, "sync", _raise_disk_full),
    ):
        with monkeypatch.context() as broken:
            broken.setattr(part, name, fail)
            for _ in range(3):
                with pytest.raises(OSError, match="disk full"):
                    log.append([event("b")])
    assert len(log.append([event("b")]).events) == 1
    home.close()
    assert home.logged_ids() == ["a", "b"]
    assert all(path.stat().st_size for path in home.files)


def test_log_has_a_single_writer(home):
    home.open()
    with pytest.raises(LockHeld, match=str(os.getpid())):
        Home(home.folder).open()
    home.open()


def test_a_log_that_cannot_save_its_watermark_releases_the_lock(home, monkeypatch):
    log = home.open()
    log.append([event("a")])
    with monkeypatch.context() as full, pytest.raises(OSError, match="disk full"):
        full.setattr(log.low_watermark, "save", _raise_disk_full)
        log.close()
    home.open()


def test_unpushed_events_are_replayed_at_the_next_start(home):
    assert home.start() == 0
    assert home.push.push(home.log.append([event("a"), event("b", "v")]))
    home.store.is_away = True
    assert not home.report("c")
    assert home.push.pending_reports == 1
    home.close()
    home.store.events.clear()
    home.store.is_away = False
    assert home.start() == 1
    assert set(home.store.events) == {"c"}
    home.close()
    assert list(home.open().read_unpushed()) == []


def test_a_replay_that_is_killed_is_continued(home, monkeypatch):
    monkeypatch.setattr(event_pusher, "REPLAY_BATCH_SIZE", 2)
    log = home.open()
    positions = [log.append([event(f"e{number}")]).position for number in range(6)]
    home.store.after = 6
    assert home.start() == 6
    assert home.store.saved == {"file": positions[3][0], "offset": positions[3][1]}


def test_a_replay_goes_on_if_its_progress_cannot_be_saved(home, monkeypatch):
    home.open().append([event("a")])
    home.close()
    with monkeypatch.context() as full:
        full.setattr(LowWatermark, "save", _raise_disk_full)
        assert home.start() == 1
    assert set(home.store.events) == {"a"}


def test_a_replayed_chunk_marks_the_commits_up_to_its_end(tmp_path):
    mark = LowWatermark(tmp_path / "pushed.json")
    positions = [(f"dt=2027-01-15/events-{file}-1.jsonl", offset) for file in (9, 10) for offset in range(1, 9)]
    for position in positions:
        mark.mark_logged(position)
    mark.mark_pushed(positions[1])
    mark.mark_pushed(positions[5])
    for last, place in ((0, 1), (8, 8), (12, 12), (15, 15)):
        mark.mark_pushed_through(positions[last])
        assert (mark.position, mark.pending_commits) == (positions[place], len(positions) - place - 1)


@pytest.mark.parametrize("hours", [1, 48], ids=["the same day", "two days"])
def test_clock_that_was_set_back_loses_no_event_at_the_next_start(home, hours):
    home.start()
    assert home.report("a")
    home.close()
    home.now = NOW - hours * 3600 * MICROSECONDS_PER_SECOND
    home.open().append([event("b")])  # never pushed, as if the process was killed
    log = home.open()
    assert [one["event_id"] for one, _ in log.read_unpushed()] == ["b"]
    log.append([event("c")])
    assert home.logged_ids() == ["a", "b", "c"]


def test_sequence_numbers_increase_after_the_clock_was_set_back_and_given_ones_are_kept(home):
    home.now = time.time_ns() // 1000
    for number in range(3):
        log = home.open()
        log.append([event(f"{number}a")])
        home.now -= DAY
        log.append([event(f"{number}b", sequence_number=2**62)])
        log.append([event(f"{number}c")])
        home.close()
        for path in home.files:
            os.utime(path, ns=(home.now * 1000, home.now * 1000))
    numbers = {row["event_id"]: row["sequence_number"] for row in home.logged()}
    assert [numbers.pop(f"{number}b") for number in range(3)] == [2**62] * 3
    assert list(numbers.values()) == sorted(set(numbers.values()))


@pytest.mark.parametrize("content", [None, "", "x"])
def test_without_reserved_numbers_events_follow_the_times_of_the_files(home, content):
    home.now = time.time_ns() // 1000
    for name in "ab":
        home.open().append([event(name)])
        home.close()
        (home.folder / "serving" / RESERVED_NUMBERS_FILE).unlink()
        if content is not None:
            (home.folder / "serving" / RESERVED_NUMBERS_FILE).write_text(content)
        home.now -= DAY
    first, second = (row["sequence_number"] for row in home.logged())
    assert first < second


def test_reports_do_not_wait_for_a_store_that_failed(home, monkeypatch, no_retries):
    monkeypatch.setattr(event_pusher, "PUSH_TIMEOUT_S", 0.01)
    hangs, submitted = threading.Event(), []

    class Writers(UserWriters):
        def submit(self, user_id, events):
            submitted.append(events)
            return super().submit(user_id, events)

    home.start(Writers(lambda _: hangs.wait()))
    assert [home.report(name) for name in "abc"] == [False] * 3
    assert (len(submitted), home.push.pending_reports) == (1, 3)
    assert "no response" in home.parts.parts["events"].error
    hangs.set()
    home.push._retry()
    assert (home.push.pending_reports, home.parts.parts) == (0, {})


def test_reports_wait_while_other_writes_complete(home, monkeypatch, no_retries):
    monkeypatch.setattr("serving.events.user_writers.MAX_BATCH_JOBS", 1)
    applied, may_apply = [], threading.Semaphore(0)

    def apply(events_of):
        may_apply.acquire()
        applied.append(events_of)

    def wait_for_one_write(futures, timeout):
        may_apply.release()
        if earlier:
            earlier.pop(0).result(timeout=60)
            return wait(futures, timeout=0)
        return wait(futures, timeout=60)

    monkeypatch.setattr(event_pusher, "wait", wait_for_one_write)
    writers = UserWriters(apply)
    home.start(writers)
    earlier = [writers.submit("other", [event(f"o{number}", "other")]) for number in range(4)]
    # Four timeouts pass before the report is applied, each with a completed write.
    assert home.report("a")
    assert (len(applied), home.push.pending_reports) == (5, 0)


def test_replayed_events_are_excluded_before_they_are_pushed(home):
    home.open().append([event("a", action="block")])
    home.store.is_away = True
    home.start()
    assert [one["event_id"] for one in home.excluded] == ["a"]
    assert home.push.pending_reports == 1


@pytest.mark.parametrize("column", ["event_id", "user_id", "target_type", "action", "occurred_at"])
def test_damaged_line_is_not_replayed(home, column):
    home.open().append([event("a"), event("b")])
    home.close()
    (path,) = home.files
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first.replace(f'"{column}"'.encode(), f'"{column[:-1]}?"'.encode()) + second)
    assert [one.get("event_id") for one, _ in home.open().read_unpushed()] == ["b"]


def test_events_beyond_the_limit_are_read_from_the_log(home, monkeypatch, no_retries):
    monkeypatch.setattr(event_pusher, "MAX_DEFERRED_EVENTS", 4)
    monkeypatch.setattr(event_pusher, "REPLAY_BATCH_SIZE", 2)
    home.start()
    home.store.is_away, home.store.after = True, 9
    names = [f"e{number}" for number in range(9)]
    appended = [home.log.append([event(name) for name in names[first : first + 3]]) for first in range(0, 9, 3)]
    assert not any(home.push.push(one) for one in appended)
    for _ in range(2):
        assert [len(one.events) for one in home.push._deferred] == [3]
        home.push._retry()
    home.store.is_away = False
    home.push._retry()
    assert (sorted(home.store.events), home.push.pending_reports, len(home.push._deferred)) == (names, 0, 0)
    file, offset = appended[1].position
    assert home.store.saved == {"file": file, "offset": offset}, "a killed process goes on from here"
    home.store.is_away = True
    home.report("later")
    assert len(home.push._deferred) == 1


def test_an_invalid_event_does_not_delay_others(home, no_retries):
    def apply(events_of):
        if any(one["event_id"] == "bad" for events in events_of.values() for one in events):
            raise ValueError("what is this?")

    home.start(UserWriters(apply))
    assert [home.report("bad"), home.report("good", user_id="v")] == [False, True]
    assert not home.parts.parts


def test_events_are_pushed_when_the_store_recovers(home, monkeypatch):
    monkeypatch.setattr(event_pusher, "RETRY_INTERVAL_S", 0.01)
    home.start()
    save, failed = home.log.low_watermark.save, []

    def on_a_full_disk():
        if len(failed) < 2:
            failed.append(None)
            _raise_disk_full()
        save()

    for names in ("abc", "d"):
        home.store.is_away = True
        assert not any(home.report(name) for name in names)
        monkeypatch.setattr(home.log.low_watermark, "save", on_a_full_disk)
        home.store.is_away = False
        wait_until(lambda: home.push.pending_reports == 0, "the push")
        wait_until(lambda: len(failed) == 2, "both failures")
    assert set(home.store.events) == set("abcd")


def test_events_of_a_user_are_applied_in_order_by_one_thread():
    seen, threads = {}, {}

    def apply(events_of):
        for user_id, events in events_of.items():
            threads.setdefault(user_id, set()).add(threading.current_thread().name)
            seen.setdefault(user_id, []).extend(one["event_id"] for one in events)

    writers = UserWriters(apply, writers=3)
    answers = [writers.submit(f"u{number % 7}", [event(str(number), f"u{number % 7}")]) for number in range(300)]
    for answer in answers:
        answer.result(5)
    writers.close()
    assert {len(names) for names in threads.values()} == {1}
    assert seen == {f"u{user}": [str(number) for number in range(300) if number % 7 == user] for user in range(7)}


def test_queued_users_are_batched_and_an_invalid_event_fails_alone():
    calls, is_busy, held = [], threading.Event(), threading.Event()

    def apply(events_of):
        calls.append(sorted(events_of))
        is_busy.set()
        held.wait(5)
        if any(one["event_id"] == "bad" for events in events_of.values() for one in events):
            raise ValueError("what is this?")

    writers = UserWriters(apply)
    first = writers.submit("first", [event("0", "first")])
    assert is_busy.wait(5)
    rest = [writers.submit(f"u{n}", [event("bad" if n == 2 else str(n), f"u{n}")]) for n in range(4)]
    held.set()
    assert [answer.exception(5) is None for answer in (first, *rest)] == [True, True, True, False, True]
    writers.close()
    assert calls[:2] == [["first"], ["u0", "u1", "u2", "u3"]]
