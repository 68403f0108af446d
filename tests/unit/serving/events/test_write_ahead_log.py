"""Durability: acknowledged events are in the log exactly once, even after a crash."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from serving.events.daily_jsonl import DailyJsonlFile
from serving.events.event_pusher import MAX_PUSH_WAIT_S, PUSH_TIMEOUT_PER_EVENT_S, PUSH_TIMEOUT_S, EventPusher
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

NOW = 1_800_000_000 * MICROSECONDS_PER_SECOND
DAY = 86_400 * MICROSECONDS_PER_SECOND


def event(event_id, user_id="u", **columns):
    row = {
        "event_id": event_id,
        "user_id": user_id,
        "target_type": "track",
        "target_id": "t",
        "action": "click",
    } | columns
    return read_event(row, NOW)


def open_log(home: Path, now_us=lambda: NOW) -> EventLog:
    return EventLog(home / "live", home / "serving", now_us, lock_timeout_s=0.2)


def logged(home: Path) -> list[dict]:
    return [
        json.loads(line)
        for path in daily_files.list_files(home / "live", EVENT_LOG_PREFIX)
        for line, _ in daily_files.read_lines(path)
    ]


def test_events_are_deduplicated_within_and_across_reports_and_restarts(tmp_path):
    log = open_log(tmp_path)
    assert [len(log.append([event("a"), event("b"), event("a")]).events), log.append([event("b")]).duplicate] == [2, 1]
    log.close()
    log = open_log(tmp_path)
    answer = log.append([event("a"), event("c")])
    log.close()
    assert (answer.duplicate, [one["event_id"] for one in answer.events]) == (1, ["c"])
    assert [row["event_id"] for row in logged(tmp_path)] == ["a", "b", "c"]


def test_sequence_numbers_increase_and_given_ones_are_kept(tmp_path):
    log = open_log(tmp_path)
    log.append([event("a"), event("b", sequence_number=7)])
    log.append([event("c")])
    log.close()
    numbers = [row["sequence_number"] for row in logged(tmp_path)]
    assert numbers[1] == 7
    assert numbers[0] < numbers[2]


def test_group_commit_shares_a_sync(tmp_path, monkeypatch):
    syncs = []
    held = threading.Event()
    sync = DailyJsonlFile.sync

    def counted(self):
        syncs.append(1)
        if len(syncs) == 1:
            held.wait(60)
        sync(self)

    monkeypatch.setattr(DailyJsonlFile, "sync", counted)
    log = open_log(tmp_path)
    with ThreadPoolExecutor(40) as clients:
        answers = [clients.submit(log.append, [event("e0")])]
        while not syncs:
            time.sleep(0.001)
        # The first commit waits in its sync, so that the other reports are in the queue together.
        answers += [clients.submit(log.append, [event(f"e{number}")]) for number in range(1, 40)]
        while log._reports.qsize() < 39:
            time.sleep(0.001)
        held.set()
        assert all(len(answer.result().events) == 1 for answer in answers)
    taken = len(syncs)
    log.close()
    assert taken == 2
    assert {row["event_id"] for row in logged(tmp_path)} == {f"e{number}" for number in range(40)}


def test_incomplete_last_line_is_removed(tmp_path):
    log = open_log(tmp_path)
    log.append([event("a")])
    log.close()
    (path,) = daily_files.list_files(tmp_path / "live", EVENT_LOG_PREFIX)
    with path.open("ab") as file:
        file.write(b'{"event_id":"torn","user_')
    log = open_log(tmp_path)
    assert log.repaired_files == [path]
    assert len(log.append([event("torn")]).events) == 1
    log.close()
    assert [row["event_id"] for row in logged(tmp_path)] == ["a", "torn"]


@pytest.mark.parametrize("text", [b"", b"torn", b"a\n", b"a\nb", b"a\n" + b"x" * (daily_files.TAIL_BYTES + 9)])
def test_repair_keeps_exactly_the_whole_lines(tmp_path, text):
    path = tmp_path / "log"
    path.write_bytes(text)
    cut = daily_files.truncate_torn_line(path)
    whole = text[: text.rfind(b"\n") + 1]
    assert path.read_bytes() == whole
    assert cut == len(text) - len(whole)


def test_each_day_has_its_own_file(tmp_path):
    days = iter([NOW] * 4 + [NOW + DAY] * 9)
    log = open_log(tmp_path, lambda: next(days))
    for name in ("a", "b", "c", "d"):
        log.append([event(name)])
    log.close()
    folders = {path.parent.name for path in daily_files.list_files(tmp_path / "live", EVENT_LOG_PREFIX)}
    assert folders == {"dt=2027-01-15", "dt=2027-01-16"}


def test_failed_write_acknowledges_nothing_and_can_be_repeated(tmp_path, monkeypatch):
    log = open_log(tmp_path)
    log.append([event("a")])
    with monkeypatch.context() as broken:
        broken.setattr(DailyJsonlFile, "sync", lambda self: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            log.append([event("b")])
    assert len(log.append([event("b")]).events) == 1
    log.close()


def test_failed_writes_leave_no_file_and_no_line(tmp_path, monkeypatch):
    log = open_log(tmp_path)
    log.append([event("a")])
    write, sync = os.write, DailyJsonlFile.sync
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, lines: write(descriptor, lines[:9]) and _raise_disk_full())
        for _ in range(3):
            with pytest.raises(OSError, match="disk full"):
                log.append([event("b")])
    with monkeypatch.context() as broken:
        broken.setattr(DailyJsonlFile, "sync", lambda self: _raise_disk_full())
        for _ in range(3):
            with pytest.raises(OSError, match="disk full"):
                log.append([event("b")])
    assert DailyJsonlFile.sync is sync
    assert len(log.append([event("b")]).events) == 1
    log.close()
    assert [row["event_id"] for row in logged(tmp_path)] == ["a", "b"]
    assert all(path.stat().st_size for path in daily_files.list_files(tmp_path / "live", EVENT_LOG_PREFIX))


def _raise_disk_full():
    raise OSError("disk full")


def test_log_has_a_single_writer(tmp_path):
    log = open_log(tmp_path)
    with pytest.raises(LockHeld, match=str(os.getpid())):
        open_log(tmp_path)
    log.close()
    open_log(tmp_path).close()


def test_a_log_that_cannot_save_its_watermark_releases_the_lock(tmp_path, monkeypatch):
    log = open_log(tmp_path)
    log.append([event("a")])
    monkeypatch.setattr(log.low_watermark, "save", _raise_disk_full)
    with pytest.raises(OSError, match="disk full"):
        log.close()
    open_log(tmp_path).close()


class Store:
    """An online store that keeps events by id and can fail."""

    def __init__(self):
        self.events, self.is_away = {}, False

    def apply(self, events_of):
        if self.is_away:
            raise ConnectionError("store is away")
        for user_id, events in events_of.items():
            for one in events:
                assert one["user_id"] == user_id
                self.events[one["event_id"]] = one


def test_unpushed_events_are_replayed_at_the_next_start(tmp_path):
    store = Store()
    log = open_log(tmp_path)
    push = EventPusher(log, UserWriters(store.apply), degradation())
    assert push.start() == 0
    assert push.push(log.append([event("a"), event("b", "v")]))
    store.is_away = True
    assert not push.push(log.append([event("c")]))
    assert push.pending_reports == 1
    push.close()
    log.close()

    store.events.clear()
    store.is_away = False
    log = open_log(tmp_path)
    push = EventPusher(log, UserWriters(store.apply), degradation())
    assert push.start() == 1
    assert set(store.events) == {"c"}
    push.close()
    log.close()
    log = open_log(tmp_path)
    assert list(log.read_unpushed()) == []
    log.close()


class KillsAfter(Store):
    """A store that keeps the low watermark that is on the disk, as if the process was killed, after a number of events."""

    def __init__(self, watermark, after):
        super().__init__()
        self.watermark, self.after, self.saved = watermark, after, None

    def apply(self, events_of):
        super().apply(events_of)
        if len(self.events) == self.after:
            self.saved = self.watermark.read_text() if self.watermark.exists() else None


def test_a_replay_that_is_killed_is_continued(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.events.event_pusher.REPLAY_BATCH_SIZE", 2)
    log = open_log(tmp_path)
    positions = [log.append([event(f"e{number}")]).position for number in range(6)]
    log.close()
    log = open_log(tmp_path)
    store = KillsAfter(log.low_watermark._path, 6)
    push = EventPusher(log, UserWriters(store.apply), degradation())
    assert push.start() == 6
    assert json.loads(store.saved) == {"file": positions[3][0], "offset": positions[3][1]}
    push.close()
    log.close()


def test_a_replay_of_events_that_were_not_kept_is_continued(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.events.event_pusher.RETRY_INTERVAL_S", 3600)
    monkeypatch.setattr("serving.events.event_pusher.MAX_DEFERRED_EVENTS", 0)
    monkeypatch.setattr("serving.events.event_pusher.REPLAY_BATCH_SIZE", 2)
    log = open_log(tmp_path)
    store = KillsAfter(log.low_watermark._path, 6)
    push = EventPusher(log, UserWriters(store.apply), degradation())
    push.start()
    store.is_away = True
    appended = [log.append([event(f"e{number}")]) for number in range(6)]
    assert not any(push.push(one) for one in appended)
    store.is_away = False
    push._is_failing = False
    push._retry()
    file, offset = appended[3].position
    assert json.loads(store.saved) == {"file": file, "offset": offset}
    push.close()
    log.close()


def test_a_replay_goes_on_if_its_progress_cannot_be_saved(tmp_path, monkeypatch):
    log = open_log(tmp_path)
    log.append([event("a")])
    log.close()
    store, log = Store(), open_log(tmp_path)
    push = EventPusher(log, UserWriters(store.apply), degradation())
    with monkeypatch.context() as full:
        full.setattr(log.low_watermark, "save", _raise_disk_full)
        assert push.start() == 1
    assert set(store.events) == {"a"}
    push.close()
    log.close()


def test_a_replayed_chunk_is_marked_without_reading_all_pending_commits(tmp_path, monkeypatch):
    mark, compared, sort_key = LowWatermark(tmp_path / "pushed.json"), [], daily_files.sort_key
    monkeypatch.setattr(daily_files, "sort_key", lambda path: compared.append(path) or sort_key(path))
    day, name = "dt=2027-01-15", "events-{}-1.jsonl"
    positions = [(f"{day}/{name.format(file)}", offset) for file in (9, 10) for offset in range(1, 1001)]
    for position in positions:
        mark.mark_logged(position)
    for place in (1, 5):
        mark.mark_pushed(positions[place])
    for last, place in ((0, 1), (1000, 1000), (1500, 1500)):
        compared.clear()
        before = mark.pending_commits
        mark.mark_pushed_through(positions[last])
        assert (mark.position, mark.pending_commits) == (positions[place], len(positions) - place - 1)
        assert len(compared) <= before - mark.pending_commits + 2
    mark.mark_pushed_through(positions[-1])
    assert (mark.position, mark.pending_commits) == (positions[-1], 0)


@pytest.mark.parametrize("hours", [1, 48], ids=["the same day", "two days"])
def test_clock_that_was_set_back_loses_no_event_at_the_next_start(tmp_path, hours):
    now = [NOW]
    log = open_log(tmp_path, lambda: now[0])
    push = EventPusher(log, UserWriters(Store().apply), degradation())
    push.start()
    assert push.push(log.append([event("a")]))
    push.close()
    log.close()
    now[0] = NOW - hours * 3600 * MICROSECONDS_PER_SECOND
    log = open_log(tmp_path, lambda: now[0])
    log.append([event("b")])  # never pushed, as if the process was killed
    log.close()
    log = open_log(tmp_path, lambda: now[0])
    assert [one["event_id"] for one, _ in log.read_unpushed()] == ["b"]
    log.append([event("c")])
    log.close()
    rows = logged(tmp_path)
    assert [row["event_id"] for row in rows] == ["a", "b", "c"]


def test_sequence_numbers_increase_after_the_clock_was_set_back(tmp_path):
    now = [time.time_ns() // 1000]
    for number in range(3):
        log = open_log(tmp_path, lambda: now[0])
        log.append([event(f"{number}a")])
        now[0] -= DAY
        log.append([event(f"{number}b", sequence_number=2**62)])
        log.append([event(f"{number}c")])
        log.close()
        for path in daily_files.list_files(tmp_path / "live", EVENT_LOG_PREFIX):
            os.utime(path, ns=(now[0] * 1000, now[0] * 1000))
    numbers = [row["sequence_number"] for row in logged(tmp_path) if row["event_id"][1] != "b"]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("content", [None, "", "x"])
def test_without_reserved_numbers_events_follow_the_times_of_the_files(tmp_path, content):
    now = [time.time_ns() // 1000]
    for name in "ab":
        log = open_log(tmp_path, lambda: now[0])
        log.append([event(name)])
        log.close()
        (tmp_path / "serving" / RESERVED_NUMBERS_FILE).unlink()
        if content is not None:
            (tmp_path / "serving" / RESERVED_NUMBERS_FILE).write_text(content)
        now[0] -= DAY
    first, second = (row["sequence_number"] for row in logged(tmp_path))
    assert first < second


def test_reports_do_not_wait_for_a_store_that_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.events.event_pusher.RETRY_INTERVAL_S", 3600)
    monkeypatch.setattr("serving.events.event_pusher.PUSH_TIMEOUT_S", 0.01)
    hangs, submitted = threading.Event(), []

    class Writers(UserWriters):
        def submit(self, user_id, events):
            submitted.append(events)
            return super().submit(user_id, events)

    log, parts = open_log(tmp_path), degradation()
    push = EventPusher(log, Writers(lambda _: hangs.wait()), parts)
    push.start()
    assert not push.push(log.append([event("a")]))
    for name in ("b", "c"):
        assert not push.push(log.append([event(name)]))
    assert (len(submitted), push.pending_reports) == (1, 3)
    assert "no response" in parts.parts["events"].error
    hangs.set()
    push._retry()
    assert (push.pending_reports, parts.parts) == (0, {})
    push.close()
    log.close()


def test_reports_wait_while_other_writes_complete(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.events.event_pusher.RETRY_INTERVAL_S", 3600)
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

    monkeypatch.setattr("serving.events.event_pusher.wait", wait_for_one_write)
    writers, log = UserWriters(apply), open_log(tmp_path)
    push = EventPusher(log, writers, degradation())
    push.start()
    earlier = [writers.submit("other", [event(f"o{number}", "other")]) for number in range(4)]
    # Four timeouts pass before the report is applied, each with a completed write.
    assert push.push(log.append([event("a")]))
    assert (len(applied), push.pending_reports) == (5, 0)
    push.close()
    log.close()


def test_replayed_events_are_excluded_before_they_are_pushed(tmp_path):
    log, store, excluded = open_log(tmp_path), Store(), []
    log.append([event("a", action="block")])
    log.close()
    store.is_away = True
    log = open_log(tmp_path)
    push = EventPusher(log, UserWriters(store.apply), degradation(), excluded.extend)
    push.start()
    assert [one["event_id"] for one in excluded] == ["a"]
    assert push.pending_reports == 1
    push.close()
    log.close()


@pytest.mark.parametrize("column", ["event_id", "user_id", "target_type", "action", "occurred_at"])
def test_damaged_line_is_not_replayed(tmp_path, column):
    log = open_log(tmp_path)
    log.append([event("a"), event("b")])
    log.close()
    (path,) = daily_files.list_files(tmp_path / "live", EVENT_LOG_PREFIX)
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first.replace(f'"{column}"'.encode(), f'"{column[:-1]}?"'.encode()) + second)
    log = open_log(tmp_path)
    assert [one.get("event_id") for one, _ in log.read_unpushed()] == ["b"]
    log.close()


def test_a_retry_waits_longer_than_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.events.event_pusher.RETRY_INTERVAL_S", 3600)
    timeouts, hangs = [], threading.Event()

    def wait_in_vain(futures, timeout):
        timeouts.append(timeout)
        return wait(futures, timeout=0)

    monkeypatch.setattr("serving.events.event_pusher.wait", wait_in_vain)
    log = open_log(tmp_path)
    push = EventPusher(log, UserWriters(lambda _: hangs.wait()), degradation())
    push.start()
    assert not push.push(log.append([event("a"), event("b")]))
    push._retry()
    report, retry = timeouts
    assert report == pytest.approx(PUSH_TIMEOUT_S + 2 * PUSH_TIMEOUT_PER_EVENT_S)
    assert retry == pytest.approx(MAX_PUSH_WAIT_S + 4 * PUSH_TIMEOUT_PER_EVENT_S)
    hangs.set()
    push.close()
    log.close()


def test_events_beyond_the_limit_are_read_from_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.events.event_pusher.RETRY_INTERVAL_S", 3600)
    monkeypatch.setattr("serving.events.event_pusher.MAX_DEFERRED_EVENTS", 4)
    monkeypatch.setattr("serving.events.event_pusher.REPLAY_BATCH_SIZE", 2)
    store, log = Store(), open_log(tmp_path)
    push = EventPusher(log, UserWriters(store.apply), degradation())
    push.start()
    store.is_away = True
    names = [f"e{number}" for number in range(9)]
    for first in range(0, 9, 3):
        push.push(log.append([event(name) for name in names[first : first + 3]]))
    for _ in range(2):
        assert [len(one.events) for one in push._deferred] == [3]
        push._retry()
    store.is_away = False
    push._retry()
    assert (sorted(store.events), push.pending_reports, len(push._deferred)) == (names, 0, 0)
    store.is_away = True
    push.push(log.append([event("later")]))
    assert len(push._deferred) == 1
    push.close()
    log.close()


def test_an_invalid_event_does_not_delay_others(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.events.event_pusher.RETRY_INTERVAL_S", 3600)

    def apply(events_of):
        if any(one["event_id"] == "bad" for events in events_of.values() for one in events):
            raise ValueError("what is this?")

    log, parts = open_log(tmp_path), degradation()
    push = EventPusher(log, UserWriters(apply), parts)
    push.start()
    assert not push.push(log.append([event("bad")]))
    assert push.push(log.append([event("good", "v")]))
    assert not parts.parts
    push.close()
    log.close()


def test_events_are_pushed_when_the_store_recovers(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.events.event_pusher.RETRY_INTERVAL_S", 0.01)
    store = Store()
    log = open_log(tmp_path)
    push = EventPusher(log, UserWriters(store.apply), degradation())
    push.start()
    store.is_away = True
    for name in ("a", "b", "c"):
        assert not push.push(log.append([event(name)]))
    save, failed = log.low_watermark.save, []

    def on_a_full_disk():
        if len(failed) < 2:
            failed.append(None)
            raise OSError("no space left on device")
        save()

    monkeypatch.setattr(log.low_watermark, "save", on_a_full_disk)
    store.is_away = False
    for _ in range(500):
        if push.pending_reports == 0:
            break
        threading.Event().wait(0.01)
    assert set(store.events) == {"a", "b", "c"}
    for _ in range(500):
        if len(failed) == 2:
            break
        threading.Event().wait(0.01)
    store.is_away = True
    assert not push.push(log.append([event("d")]))
    store.is_away = False
    for _ in range(500):
        if push.pending_reports == 0:
            break
        threading.Event().wait(0.01)
    assert "d" in store.events
    push.close()
    log.close()


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


WRITER = """
import os, sys, time
from pathlib import Path
from serving.events.write_ahead_log import EventLog
from serving.events.event_schema import read_event
from concurrent.futures import ThreadPoolExecutor
home, first = Path(sys.argv[1]), int(sys.argv[2])
clock = lambda: time.time_ns() // 1000
log = EventLog(home / "live", home / "serving", clock)
def report(number):
    row = {"event_id": f"e{number}", "user_id": "u", "target_type": "track", "target_id": "t", "action": "click"}
    log.append([read_event(row, clock())])
    os.write(1, f"e{number}\\n".encode())
with ThreadPoolExecutor(8) as clients:
    list(clients.map(report, range(first, first + 100_000)))
"""


def test_kill_9_loses_and_duplicates_no_acknowledged_event(tmp_path):
    acknowledged = set()
    for round_number in range(3):
        # The second round begins before where the first ended: the client repeats unacknowledged events.
        first = max((int(name[1:]) for name in acknowledged), default=0)
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(max(0, first - 50))], stdout=subprocess.PIPE, text=True
        )
        try:
            seen = []
            while len(seen) < 200 + 37 * round_number:
                line = process.stdout.readline()
                assert line, "the writer ended by itself"
                seen.append(line)
        finally:
            process.send_signal(signal.SIGKILL)
        seen += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        acknowledged |= {line.strip() for line in seen if line.endswith("\n")}
    open_log(tmp_path).close()
    names = [row["event_id"] for row in logged(tmp_path)]
    assert acknowledged <= set(names)
    assert len(names) == len(set(names))
