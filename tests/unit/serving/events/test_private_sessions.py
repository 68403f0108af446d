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


class Clock:
    def __init__(self):
        self.at = NOW

    def __call__(self):
        return self.at


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


def kept(sessions, *events, known=()):
    with sessions.without_private(events, lambda event_id: event_id in known) as recorded:
        return [one["event_id"] for one in recorded]


def test_plays_clicks_and_impressions_of_a_session_are_not_kept(tmp_path):
    sessions = PrivateSessions(tmp_path, Clock())
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
    assert kept(sessions, *events) == names
    assert kept(sessions, event("play", 1)) == []  # reported late
    sessions.close()


def test_a_session_outlasts_a_restart_and_ends_by_itself(tmp_path):
    clock = Clock()
    first = PrivateSessions(tmp_path, clock)
    assert first.current("u") is None
    kept(first, event("start_private", 0))
    first.close()
    second = PrivateSessions(tmp_path, clock)
    clock.at = NOW + MINUTE
    session = second.current("u")
    assert (session.since_us, session.until_us) == (NOW, NOW + MAX_SESSION_US)
    assert kept(second, event("start_private", 5), event("play", 6)) == ["u-start_private-5"]
    assert second.current("u").since_us == NOW  # it goes on
    clock.at = NOW + MAX_SESSION_US + MINUTE
    assert second.current("u") is None
    late = MAX_SESSION_US // MINUTE + 2
    assert kept(second, event("play", late, began=late - 1)) == [f"u-play-{late}"]
    second.close()


def test_an_end_without_a_session_and_erased_users(tmp_path):
    sessions = PrivateSessions(tmp_path, Clock())
    assert kept(sessions, event("end_private", 0), event("play", 1)) == ["u-end_private-0", "u-play-1"]
    kept(sessions, event("start_private", 0))
    sessions.erase_users({"u"})
    assert sessions.current("u") is None
    sessions.close()


def test_a_report_is_one_write_and_the_oldest_of_many_sessions_become_one(tmp_path):
    sessions = PrivateSessions(tmp_path, Clock())
    statements = []
    sessions._database.set_trace_callback(statements.append)
    minutes = range(-2000, 0, 4)  # 500 sessions of 2 minutes
    events = [event(action, at) for one in minutes for action, at in (("start_private", one), ("end_private", one + 2))]
    assert len(kept(sessions, *events, event("start_private", 0, user="other"))) == 1001
    assert [one.upper() for one in statements].count("COMMIT") == 1
    statements.clear()
    assert kept(sessions, event("play", -1)) == ["u-play--1"]  # between the last session and now
    for _ in range(2):
        assert kept(sessions, *(event("play", one + 1) for one in minutes)) == []
    assert [one.upper() for one in statements].count("COMMIT") == 1  # known ids are not written again
    sessions.close()
    again = PrivateSessions(tmp_path, Clock())
    rows = again._database.execute("select count(*) from private_sessions where user_id = 'u'").fetchone()
    assert rows == (MAX_SESSIONS,)
    assert kept(again, *(event("play", one + 1) for one in minutes)) == []
    again.close()


def test_a_session_that_ends_when_it_begins_is_none(tmp_path):
    sessions = PrivateSessions(tmp_path, Clock())
    kept(sessions, event("start_private", 0), event("end_private", 0), event("start_private", 0) | {"event_id": "new"})
    assert sessions.current("u").until_us == NOW + MAX_SESSION_US
    sessions.close()


def test_duplicates_begin_and_end_no_session(tmp_path):
    sessions, start, end = PrivateSessions(tmp_path, Clock()), event("start_private", 0), event("end_private", 1)
    again = start | {"occurred_at": NOW + 2 * MINUTE, "ended_at": NOW + 2 * MINUTE}  # reported without a time
    assert len(kept(sessions, start, end, again, event("play", 3))) == 4
    assert len(kept(sessions, again, event("play", 4), known=[start["event_id"]])) == 2
    kept(sessions, event("start_private", 5))
    assert kept(sessions, end | {"ended_at": NOW + 6 * MINUTE}, event("play", 7), known=[end["event_id"]]) == [
        end["event_id"]
    ]
    sessions.close()


def test_events_that_could_not_be_recorded_begin_and_end_no_session(tmp_path):
    def fail(*events):
        with pytest.raises(OSError, match="full"), sessions.without_private(events):
            raise OSError("full")

    clock = Clock()
    sessions = PrivateSessions(tmp_path, clock)
    fail(event("start_private", 0))
    assert sessions.current("u") is None
    kept(sessions, event("start_private", 0))
    clock.at += MINUTE
    fail(event("end_private", 1))
    assert sessions.current("u").until_us == NOW + MAX_SESSION_US
    with pytest.raises(OSError, match="full"), sessions.without_private([event("end_private", 1)]):
        kept(sessions, event("end_private", 1))  # another report
        raise OSError("full")
    assert sessions.current("u") is None
    sessions.close()
    again = PrivateSessions(tmp_path, clock)
    assert again.current("u") is None
    again.close()


def test_requests_do_not_wait_for_a_write(tmp_path):
    sessions = PrivateSessions(tmp_path, Clock())
    kept(sessions, event("start_private", 0))
    with sessions._lock, ThreadPoolExecutor(1) as reader:
        found = reader.submit(sessions.current, "u")
        try:
            assert found.result(timeout=5).since_us == NOW
        finally:
            sessions._lock.release()
            found.result()
            sessions._lock.acquire()
    sessions.close()


def test_private_events_stay_private_when_they_are_sent_again(tmp_path):
    clock = Clock()
    sessions, play, again = PrivateSessions(tmp_path, clock), event("play", 1), event("play", 1) | {"action": "like"}
    kept(sessions, event("start_private", 0), play, event("end_private", 2))
    sessions.close()
    sessions = PrivateSessions(tmp_path, clock)
    without_time = play | {"occurred_at": NOW + 5 * MINUTE, "ended_at": NOW + 5 * MINUTE}  # the time of the report
    assert kept(sessions, without_time, event("play", 5, user="other")) == ["other-play-5"]
    assert kept(sessions, again) == ["u-play-1"]
    clock.at += 29 * DAY
    assert kept(sessions, without_time) == []
    clock.at += 2 * DAY
    assert kept(sessions, without_time) == ["u-play-1"]
    sessions.close()


def test_private_events_cannot_be_read_or_guessed_from_the_file(tmp_path):
    first, second = PrivateSessions(tmp_path / "a", Clock()), PrivateSessions(tmp_path / "b", Clock())
    codes = []
    for sessions in (first, second):
        kept(sessions, event("start_private", 0), event("play", 1))
        ((code, day),) = sessions._database.execute("select * from private_events")
        assert day == NOW // DAY
        codes.append(code)
        sessions.close()
    assert codes[0] != codes[1]  # each home has its key


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
def test_nothing_is_recorded_after_a_loss_until_every_session_must_have_ended(tmp_path, lose):
    clock = Clock()
    sessions = PrivateSessions(tmp_path, clock)
    assert sessions.everyones is None
    kept(sessions, event("start_private", 0, user="v"), event("start_private", -100, user="u"), event("play", -90))
    sessions.close()
    lose(tmp_path)
    for _ in range(2):  # a restart does not end it
        sessions = PrivateSessions(tmp_path, clock)
        assert sessions.everyones.until_us == NOW + MAX_SESSION_US
        assert kept(sessions, event("play", 1), event("play", -90), event("play", 1, user="new")) == []
        assert kept(sessions, event("like", 2)) == ["u-like-2"]
        sessions.close()
    sessions = PrivateSessions(tmp_path, clock)
    kept(sessions, event("end_private", 3))
    clock.at += 5 * MINUTE
    assert kept(sessions, event("play", 4), event("play", 4, user="v")) == ["u-play-4"]
    assert sessions.current("u") is None and sessions.current("v") is not None
    clock.at += MAX_SESSION_US
    assert sessions.everyones is None
    late = MAX_SESSION_US // MINUTE + 4
    assert kept(sessions, event("play", late, user="v"), event("play", 100, user="w")) == [f"v-play-{late}"]
    sessions.close()


def test_a_damaged_file_of_an_earlier_version_is_a_loss_and_a_sound_one_is_not(tmp_path):
    sessions = PrivateSessions(tmp_path, Clock())
    kept(sessions, event("start_private", 0))
    sessions._database.execute("drop table private_events")
    sessions._database.execute("pragma user_version = 0")
    sessions.close()
    delete_key(tmp_path)
    sound = PrivateSessions(tmp_path, Clock())
    assert sound.everyones is None and sound.current("u").since_us == NOW
    sound.close()
    delete_key(tmp_path)
    damage(tmp_path)
    lost = PrivateSessions(tmp_path, Clock())
    assert lost.everyones is not None
    lost.close()


def test_a_file_that_is_damaged_meanwhile_records_nothing(tmp_path):
    sessions = PrivateSessions(tmp_path, Clock())
    sessions._database.execute("drop table private_events")
    with pytest.raises(OSError, match="start the recommender again"):
        kept(sessions, event("play", 1))
    sessions.close()


def test_a_file_that_cannot_be_opened_is_kept(tmp_path):
    sessions = PrivateSessions(tmp_path, Clock())
    kept(sessions, event("start_private", 0))
    sessions.close()
    obstacle = tmp_path / f"{PRIVATE_SESSIONS_FILE}-wal"
    obstacle.mkdir()
    with pytest.raises(OSError, match=r"private_sessions.sqlite cannot be opened: .*; check the space"):
        PrivateSessions(tmp_path, Clock())
    obstacle.rmdir()
    sessions = PrivateSessions(tmp_path, Clock())
    assert sessions.current("u").since_us == NOW
    sessions.close()
