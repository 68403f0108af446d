"""Private sessions: which events are kept, across a restart, a late report, the longest session and many sessions."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.events.private_sessions import (
    KEY_FILE,
    MAX_SESSION_US,
    MAX_SESSIONS,
    PRIVATE_SESSIONS_FILE,
    PrivateSessions,
)

MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE
NOW = 1_800_000_000_000_000


class Place:
    """Private sessions of one process after another in a folder, with a manual clock."""

    def __init__(self, folder):
        self.folder, self.now, self.sessions = folder, NOW, None
        self.open()

    def open(self):
        self.close()
        self.sessions = PrivateSessions(self.folder, lambda: self.now)

    def close(self):
        if self.sessions is not None:
            self.sessions.close()
        self.sessions = None

    def keep(self, *events, known=()):
        """Ids of the events that are recorded."""
        with self.sessions.without_private(events, lambda event_id: event_id in known) as recorded:
            return [one["event_id"] for one in recorded]

    def fail(self, *events):
        """Report events that cannot be recorded."""
        with pytest.raises(OSError, match="full"), self.sessions.without_private(events):
            raise OSError("full")

    def current(self, user="u"):
        return self.sessions.current(user)


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def event(action, minute, user="u", began=None):
    at_us = NOW + minute * MINUTE
    kind = "session" if action.endswith("_private") else "track"
    return {
        "event_id": f"{user}-{action}-{minute}",
        "user_id": user,
        "action": action,
        "target_type": kind,
        "occurred_at": at_us if began is None else NOW + began * MINUTE,
        "ended_at": at_us,
    }


def test_plays_clicks_and_impressions_of_a_session_are_not_kept(place):
    events = [
        event("play", -1),
        event("start_private", 0),
        event("play", 2),
        event("click", 3),
        event("impression", 4),
        event("like", 5),
        event("block", 6),
        event("play", 7, user="other"),
        event("end_private", 8),
        event("play", 9, began=7),  # began within the session
        event("play", 10, began=9),
    ]
    names = ["u-play--1", "u-start_private-0", "u-like-5", "u-block-6", "other-play-7", "u-end_private-8", "u-play-10"]
    assert place.keep(*events) == names
    assert place.keep(event("play", 1)) == []  # reported late


def test_a_session_outlasts_a_restart_and_ends_by_itself(place):
    assert place.current() is None
    place.keep(event("start_private", 0))
    place.open()
    place.now = NOW + MINUTE
    assert (place.current().since_us, place.current().until_us) == (NOW, NOW + MAX_SESSION_US)
    assert place.keep(event("start_private", 5), event("play", 6)) == ["u-start_private-5"]
    assert place.current().since_us == NOW  # it goes on
    place.now = NOW + MAX_SESSION_US + MINUTE
    assert place.current() is None
    late = MAX_SESSION_US // MINUTE + 2
    assert place.keep(event("play", late, began=late - 1)) == [f"u-play-{late}"]


def test_an_end_without_a_session_and_erased_users(place):
    assert place.keep(event("end_private", 0), event("play", 1)) == ["u-end_private-0", "u-play-1"]
    place.keep(event("start_private", 0))
    place.sessions.erase_users({"u"})
    assert place.current() is None


def test_a_report_is_one_write_and_the_oldest_of_many_sessions_become_one(place):
    statements = []
    place.sessions._database.set_trace_callback(statements.append)
    minutes = range(-2000, 0, 4)  # 500 sessions of 2 minutes
    events = [event(action, at) for one in minutes for action, at in (("start_private", one), ("end_private", one + 2))]
    assert len(place.keep(*events, event("start_private", 0, user="other"))) == 1001
    assert [one.upper() for one in statements].count("COMMIT") == 1
    assert place.keep(event("play", -1)) == ["u-play--1"]  # between the last session and now
    for _ in range(2):
        assert place.keep(*(event("play", one + 1) for one in minutes)) == []
        place.open()
    rows = place.sessions._database.execute("select count(*) from private_sessions where user_id = 'u'").fetchone()
    assert rows == (MAX_SESSIONS,)


def test_a_session_that_ends_when_it_begins_is_none(place):
    place.keep(event("start_private", 0), event("end_private", 0), event("start_private", 0) | {"event_id": "new"})
    assert place.current().until_us == NOW + MAX_SESSION_US


def test_duplicates_begin_and_end_no_session(place):
    start, end = event("start_private", 0), event("end_private", 1)
    again = start | {"occurred_at": NOW + 2 * MINUTE, "ended_at": NOW + 2 * MINUTE}  # reported without a time
    assert len(place.keep(start, end, again, event("play", 3))) == 4
    assert len(place.keep(again, event("play", 4), known=[start["event_id"]])) == 2
    place.keep(event("start_private", 5))
    later = end | {"ended_at": NOW + 6 * MINUTE}
    assert place.keep(later, event("play", 7), known=[end["event_id"]]) == [end["event_id"]]


def test_events_that_could_not_be_recorded_begin_and_end_no_session(place):
    place.fail(event("start_private", 0))
    assert place.current() is None
    place.keep(event("start_private", 0))
    place.now += MINUTE
    place.fail(event("end_private", 1))
    assert place.current().until_us == NOW + MAX_SESSION_US
    with pytest.raises(OSError, match="full"), place.sessions.without_private([event("end_private", 1)]):
        place.keep(event("end_private", 1))  # another report
        raise OSError("full")
    assert place.current() is None
    place.open()
    assert place.current() is None


def test_requests_do_not_wait_for_a_write(place):
    place.keep(event("start_private", 0))
    lock = place.sessions._lock
    with lock, ThreadPoolExecutor(1) as reader:
        found = reader.submit(place.current)
        try:
            assert found.result(timeout=5).since_us == NOW
        finally:
            lock.release()
            found.result()
            lock.acquire()


def test_private_events_stay_private_when_they_are_sent_again(place):
    play, again = event("play", 1), event("play", 1) | {"action": "like"}
    place.keep(event("start_private", 0), play, event("end_private", 2))
    place.open()
    without_time = play | {"occurred_at": NOW + 5 * MINUTE, "ended_at": NOW + 5 * MINUTE}  # the time of the report
    assert place.keep(without_time, event("play", 5, user="other")) == ["other-play-5"]
    assert place.keep(again) == ["u-play-1"]
    place.now += 29 * DAY
    assert place.keep(without_time) == []
    place.now += 2 * DAY
    assert place.keep(without_time) == ["u-play-1"]


def test_private_events_cannot_be_read_or_guessed_from_the_file(tmp_path):
    codes = set()
    for name in "ab":
        place = Place(tmp_path / name)
        place.keep(event("start_private", 0), event("play", 1))
        ((code, day),) = place.sessions._database.execute("select * from private_events")
        assert day == NOW // DAY
        codes.add(code)
        place.close()
    assert len(codes) == 2  # each home has its key


def damage(folder):
    (folder / PRIVATE_SESSIONS_FILE).write_bytes(b"no database at all, but long enough to be read as one" * 20)


def damage_a_page(folder):
    file = folder / PRIVATE_SESSIONS_FILE
    file.write_bytes(file.read_bytes()[:4096] + bytes(range(256)) * 64)


def delete(folder):
    (folder / PRIVATE_SESSIONS_FILE).unlink()


def delete_key(folder):
    (folder / KEY_FILE).unlink()


def damage_key(folder):
    (folder / KEY_FILE).write_bytes(b"")


@pytest.mark.parametrize("lose", [damage, damage_a_page, delete, delete_key, damage_key])
def test_nothing_is_recorded_after_a_loss_until_every_session_must_have_ended(place, lose):
    assert place.sessions.everyones is None
    place.keep(event("start_private", 0, user="v"), event("start_private", -100, user="u"), event("play", -90))
    place.close()
    lose(place.folder)
    for _ in range(2):  # a restart does not end it
        place.open()
        assert place.sessions.everyones.until_us == NOW + MAX_SESSION_US
        assert place.keep(event("play", 1), event("play", -90), event("play", 1, user="new")) == []
        assert place.keep(event("like", 2)) == ["u-like-2"]
    place.keep(event("end_private", 3))
    place.now += 5 * MINUTE
    assert place.keep(event("play", 4), event("play", 4, user="v")) == ["u-play-4"]
    assert place.current() is None and place.current("v") is not None
    place.now += MAX_SESSION_US
    assert place.sessions.everyones is None
    late = MAX_SESSION_US // MINUTE + 4
    assert place.keep(event("play", late, user="v"), event("play", 100, user="w")) == [f"v-play-{late}"]


def test_a_damaged_file_of_an_earlier_version_is_a_loss_and_a_sound_one_is_not(place):
    place.keep(event("start_private", 0))
    place.sessions._database.execute("drop table private_events")
    place.sessions._database.execute("pragma user_version = 0")
    place.close()
    delete_key(place.folder)
    place.open()
    assert place.sessions.everyones is None and place.current().since_us == NOW
    place.close()
    delete_key(place.folder)
    damage(place.folder)
    place.open()
    assert place.sessions.everyones is not None


def test_a_file_that_is_damaged_meanwhile_records_nothing(place):
    place.sessions._database.execute("drop table private_events")
    with pytest.raises(OSError, match="start the recommender again"):
        place.keep(event("play", 1))


def test_a_file_that_cannot_be_opened_is_kept(place):
    place.keep(event("start_private", 0))
    place.close()
    obstacle = place.folder / f"{PRIVATE_SESSIONS_FILE}-wal"
    obstacle.mkdir()
    with pytest.raises(OSError, match=r"private_sessions.sqlite cannot be opened: .*; check the space"):
        place.open()
    obstacle.rmdir()
    place.open()
    assert place.current().since_us == NOW
