"""What every event store guarantees."""

import json
import random
import sqlite3
import threading
import time

import pytest

from event_store import sqlite_database
from event_store.private_sessions import MAX_SESSION_US
from event_store.sqlite_events import EVENTS_FILE, KEY_FILE, SqliteEventStore
from event_store.sqlite_state import SqliteServingState
from event_store.store import DAY_US, MAX_EVENTS_OF_KIND, Appended, ErasureUnfinished, Position
from storage.suppression_list import SuppressionList

NOW_US = 20_000 * DAY_US


class Clock:
    def __init__(self):
        self.now_us = NOW_US

    def __call__(self):
        return self.now_us


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    store = SqliteEventStore(tmp_path, clock)
    yield store
    store.close()


def event(number, user="u1", action="play", at_us=NOW_US, **columns):
    behaviour = None if action == "impression" else {"play": "full_play"}.get(action, action)
    return {
        "event_id": f"e{number}",
        "user_id": user,
        "action": action,
        "target_type": "session" if action.endswith("private") else "track",
        "target_id": "t1",
        "occurred_at": at_us,
        "ended_at": at_us,
        "sequence_number": None,
        "behaviour": behaviour,
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
    clock.now_us -= DAY_US  # a clock that was set back
    store.append([event(3), event(4, sequence_number=0)])
    assert ids(store.of_user("u1").events) == ["e4", "e1", "e2", "e3"]


def test_a_position_hides_earlier_events_of_its_store_only(store):
    store.append([event(1), event(2)])
    first, last = (seq for seq, _ in store.read(None, 2))
    assert ids(store.of_user("u1", Position(store.id, first)).events) == ["e2"]
    assert store.of_user("u1", Position(store.id, last)).last_seq == 0
    assert store.of_user("u1", Position("another", last)).last_seq == last
    assert [seq for seq, _ in store.read(Position("another", last), 9)] == [first, last]


def test_impressions_are_landed_but_not_read_for_users(store):
    store.append([event(1, action="impression")])
    assert store.of_user("u1").events == [] and len(store.read(None, 9)) == 1


def test_the_newest_events_of_each_kind_are_read(store):
    store.append([event(0, action="block", at_us=NOW_US - 1)])
    store.append([event(number, at_us=NOW_US + number) for number in range(1, MAX_EVENTS_OF_KIND + 3)])
    assert ids(store.of_user("u1").events)[:2] == ["e0", "e3"]


def test_old_events_are_removed_up_to_a_position_and_their_ids_are_kept(store, clock):
    store.append([event(1)])
    clock.now_us += 2 * DAY_US
    store.append([event(2), event(3)])
    assert store.last_before(clock.now_us) == 1
    assert store.remove(Position(store.id, 3)) == 1
    assert ids(one for _, one in store.read(None, 9)) == ["e2", "e3"]
    assert store.append([event(1)]).duplicate == 1
    assert store.last_before(clock.now_us + 1) == 3


def test_ids_are_kept_for_thirty_days_and_not_for_ever(store, clock):
    store.append([event(1)])
    clock.now_us += 30 * DAY_US
    assert store.append([event(1)]).duplicate == 1
    clock.now_us += 40 * DAY_US
    store.append([event(2)])
    assert store.append([event(1)]).accepted == 1


def test_a_private_session_keeps_plays_nowhere_but_feedback(store, clock):
    start, play, like = event(1, action="start_private"), event(2222), event(3, action="like")
    assert store.append([start, play, like]) == Appended(accepted=2, private=1)
    assert store.is_private("u1") and not store.is_private("u2")
    clock.now_us += 10
    assert store.append([event(4, action="end_private", at_us=NOW_US + 10)]).accepted == 1
    assert not store.is_private("u1")
    assert store.append([event(2222, at_us=NOW_US + 20), event(5, at_us=NOW_US + 20)]) == Appended(
        accepted=1, duplicate=1
    )
    assert store.append([event(6666, at_us=NOW_US + 5)]).private == 1  # late
    content = content_of(store.database.path.parent)
    assert b"e2222" not in content and b"e6666" not in content


def test_a_private_session_ends_by_itself(store, clock):
    store.append([event(1, action="start_private")])
    clock.now_us += MAX_SESSION_US
    assert not store.is_private("u1")


@pytest.mark.parametrize("lost", [EVENTS_FILE, KEY_FILE])
def test_a_loss_of_the_private_sessions_hides_everyone(store, clock, tmp_path, lost):
    store.append([event(1, action="start_private")])
    store.close()
    for path in tmp_path.glob(f"{lost}*"):
        path.unlink()
    again = SqliteEventStore(tmp_path, clock)
    assert again.is_private("u2") and again.append([event(2)]).private == 1
    assert (
        again.append([event(3, user="u2", action="end_private"), event(4, user="u2", at_us=NOW_US + 1)]).accepted == 2
    )
    again.close()


def content_of(folder):
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_erased_users_are_exported_before_and_not_added_again(store):
    store.append([event(1, user="someone"), event(2, user="else"), event(3, user="someone", action="start_private")])
    assert store.users() == {"someone", "else"}
    exported = store.export("someone")
    assert [row["body"]["event_id"] for row in exported["events"]] == ["e1", "e3"]
    assert len(exported["private_sessions"]) == 1
    store.suppress(SuppressionList().with_users(["someone"]))
    assert store.erase(["someone", "nobody"]) == {"someone": 3}
    assert store.append([event(4, user="someone"), event(5, user="else")]) == Appended(accepted=1, erased=1)
    assert store.users() == {"else"}


def test_no_byte_is_left_of_200_users_whose_events_arrive_meanwhile(store, tmp_path, clock):
    """Rows of many sizes, so that SQLite moves them between pages: what it leaves of them there must go, too."""
    state, chance = SqliteServingState(tmp_path, clock), random.Random(2)
    users = [f"{chance.getrandbits(64):016x}-user" for _ in range(1000)]
    is_erased = threading.Event()

    def send(first):
        for number in range(first, 10**9, 2):
            user = users[number * 7919 % len(users)]
            store.append([event(number, user=user, scene="s" * (number % 400))])
            if number % 3 == 0:
                state.add_exposure(user, {"user_id": user, "items": "i" * (number * 31 % 3000)})
                state.replace_list(user, NOW_US // DAY_US, str(number), None, json.dumps("l" * (number * 17 % 4000)))
            if is_erased.is_set() and number > first + 2000:
                return

    threads = [threading.Thread(target=send, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    gone, listed = users[:200], SuppressionList().with_users(users[:200])
    while not set(gone) <= store.users() & state.users():
        time.sleep(0.05)
    for part in (store, state):
        part.suppress(listed)
        assert part.erase(gone).keys() == set(gone)
    is_erased.set()
    for thread in threads:
        thread.join()
    content = content_of(tmp_path)
    assert [user for user in gone if user.encode() in content] == []
    assert users[300].encode() in content
    state.close()


def test_an_erasure_is_unfinished_while_a_process_reads_the_log_and_writers_do_not_wait(store, monkeypatch):
    monkeypatch.setattr(sqlite_database, "ERASURE_TIMEOUT_S", 0.2)
    store.append([event(1, user="someone")])
    reader = sqlite3.connect(store.database.path, isolation_level=None)
    reader.execute("begin")
    reader.execute("select * from events").fetchone()
    with pytest.raises(ErasureUnfinished, match=r"events.db-wal"):
        store.erase(["someone"])
    began = time.monotonic()
    store.append([event(2)])
    assert time.monotonic() - began < 1
    reader.close()
    store.erase(["someone"])
    assert b"someone" not in content_of(store.database.path.parent)


def test_a_renewed_store_is_another_one(store):
    store.append([event(1)])
    before = Position(store.id, 1)
    store.renew_id()
    assert store.of_user("u1", before).last_seq == 1


def test_concurrent_reports_are_each_committed_once(store, tmp_path, clock):
    other = SqliteEventStore(tmp_path, clock)

    def send(to, first):
        for number in range(first, first + 50):
            assert to.append([event(number % 75, user=f"u{number % 3}")]).duplicate in (0, 1)

    threads = [threading.Thread(target=send, args=((store, other)[n % 2], n * 25)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = store.read(None, 1000)
    assert sorted(ids(one for _, one in rows)) == sorted(f"e{number}" for number in range(75))
    other.close()
