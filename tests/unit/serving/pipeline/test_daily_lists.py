"""The list of a day: it stays, it grows, it rests afterwards, and what may not be shown leaves it."""

import threading
from dataclasses import replace

import pytest

from serving.pipeline.daily_lists import DAILY_LISTS_FILE, DailyLists, ListedTrack
from tests.support.serving.pipeline_harness import DAY, NOW, Bench
from tests.support.serving.small_release import ListChannel, excluded, history, release, tracks
from training.recall.reason import Reason

COUNT = 30


def listed(*track_ids):
    return [ListedTrack(track, 0.5, ["popularity"], Reason("listened_times", {"times": 3})) for track in track_ids]


def popular(*numbers, release_id="r1", **columns):
    """Popularity finds tracks of these numbers, in this order; every track is of an artist of its own."""
    table = tracks(COUNT, artist_ids=[[f"a{n}"] for n in range(COUNT)], **columns)
    whole = release(table, [ListChannel("popularity", [])], release_id=release_id)
    items = [whole.vocabulary.track_code[f"t{n}"] for n in numbers]
    return replace(whole, channels={"popularity": ListChannel("popularity", items)})


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


EARLY, LATER = popular(*range(20)), popular(*reversed(range(COUNT)), release_id="r2")


def test_it_stays_within_the_utc_day_whatever_happens_and_is_new_the_next(bench):
    bench.now = NOW // DAY * DAY
    first = bench.answer(EARLY, limit=3)
    assert [item.track_id for item in first.items] == ["t0", "t1", "t2"]
    bench.store.users["u"] = history("t9")
    bench.now += DAY - 1
    again = bench.answer(LATER, limit=3)
    assert again.items == first.items
    assert (again.trace.listed, again.trace.candidates, again.release) == (3, {}, "r1")
    bench.now += 1
    assert bench.ask(EARLY, limit=3) == ["t9", "t3", "t4"]
    assert bench.ask(EARLY, limit=3, user_id="v") == ["t0", "t1", "t2"]


def test_it_survives_a_restart(bench):
    first = bench.answer(EARLY, limit=3)
    bench.start()
    assert bench.answer(LATER, limit=3).items == first.items
    bench.now += DAY
    bench.start()
    assert bench.ask(EARLY, limit=3) == ["t3", "t4", "t5"]


def test_it_grows_at_its_end_and_never_changes(bench):
    first = bench.answer(EARLY, limit=2).items
    grown = bench.answer(LATER, limit=4)
    assert grown.items[:2] == first
    assert [item.track_id for item in grown.items] == ["t0", "t1", "t29", "t28"]
    assert grown.trace.listed == 2
    assert bench.answer(EARLY, limit=4).items == grown.items
    assert bench.answer(EARLY, limit=1).items == first[:1]
    assert bench.answer(EARLY, limit=4).items == grown.items


def test_every_place_names_the_release_that_gave_it_in_the_words_of_then(bench):
    first = bench.answer(EARLY, limit=2)
    renamed = popular(*reversed(range(COUNT)), release_id="r2", title=[f"Renamed {n}" for n in range(COUNT)])
    grown = bench.answer(renamed, limit=3)
    assert (first.release, grown.release) == ("r1", "r2")
    assert [(item.release, item.title) for item in grown.items] == [
        ("r1", "Song 0"), ("r1", "Song 1"), ("r2", "Renamed 29"),
    ]  # fmt: skip
    assert bench.answer(renamed, limit=2).release == "r1"
    assert [exposure.release for exposure in bench.shown.exposures] == ["r1", "r2", "r1"]


def test_what_was_blocked_leaves_at_once_and_the_rest_stays_in_its_order(bench):
    assert bench.ask(EARLY, limit=4) == ["t0", "t1", "t2", "t3"]
    bench.store.users["u"] = history("t9") | excluded(("track", "t1"), ("artist", "a2"))
    assert bench.ask(EARLY, limit=4)[:2] == ["t0", "t3"]
    assert not {"t1", "t2"} & set(bench.ask(EARLY, limit=20))


def test_the_lists_of_seven_days_rest_and_the_eighth_may_come_back(bench):
    for day in range(8):
        bench.now = NOW + day * DAY
        assert bench.ask(EARLY, limit=2) == [f"t{2 * day}", f"t{2 * day + 1}"]
    bench.now += DAY
    assert bench.ask(EARLY, limit=2) == ["t0", "t1"]


def test_another_release_of_a_resting_recording_rests_too(bench):
    of = popular(*range(5), recording_id=["x", "y", "x", "z", "w"] + [None] * (COUNT - 5))
    assert bench.ask(of, limit=1) == ["t0"]
    bench.now += DAY
    assert bench.ask(of, limit=1) == ["t1"]
    bench.now += DAY
    assert bench.ask(of, limit=1) == ["t3"]


def test_who_wants_to_hear_again_gets_what_was_heard_again_but_no_discovery_twice(bench):
    bench.store.users["u"] = history("t0", "t1")
    yesterday = bench.ask(EARLY, limit=4, discovery=0.4)
    assert yesterday == ["t0", "t1", "t2", "t3"]
    bench.now += DAY
    assert bench.ask(EARLY, limit=4, discovery=0.4) == ["t0", "t1", "t4", "t5"]
    assert not set(bench.ask(EARLY, limit=4, discovery=0.5)) & set(yesterday)
    assert not set(bench.ask(EARLY, limit=4)) & set(yesterday)


def test_another_share_of_discoveries_is_another_list(bench):
    bench.store.users["u"] = history("t0", "t1")
    new = bench.ask(EARLY, limit=2, discovery=1)
    assert new == ["t2", "t3"]
    assert bench.ask(EARLY, limit=2) == ["t0", "t1"]
    assert bench.ask(LATER, limit=2, discovery=1) == new


def test_a_list_made_while_the_store_was_away_is_not_kept(bench):
    bench.store.users["u"] = history("t9")
    bench.store.is_away = True
    assert bench.ask(EARLY, limit=2) == ["t0", "t1"]
    bench.store.is_away = False
    assert bench.ask(EARLY, limit=2)[0] == "t9"


def test_streams_have_no_list(bench):
    assert bench.ask(EARLY, limit=2, scene="private_fm") == ["t0", "t1"]
    assert bench.ask(LATER, limit=2, scene="private_fm") == ["t29", "t28"]


def test_two_requests_at_once_get_one_list(bench):
    both, answers = threading.Barrier(2, timeout=30), []

    def ask(of):
        both.wait()
        answers.append(bench.ask(of, limit=5))

    threads = [threading.Thread(target=ask, args=(of,)) for of in (EARLY, LATER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers[0] == answers[1]


def test_a_file_that_cannot_be_used_costs_the_lists_and_no_answer(bench):
    bench.lists.close()
    assert bench.ask(EARLY, limit=2) == ["t0", "t1"]
    assert bench.count("segue_skipped", part="daily_lists") == 2


def test_old_days_are_deleted_and_shares_are_told_apart_to_a_hundredth(tmp_path):
    lists = DailyLists(tmp_path)
    for day in range(10):
        lists.write("u", day * DAY, 0.25, listed(f"t{day}"), 7)
    lists.write("u", 9 * DAY, None, listed("x"), 7)
    found = lists.read("u", 9 * DAY, 0.251, 100)
    assert found.today == listed("t9")
    assert found.recent_track_ids == {f"t{day}" for day in range(2, 9)}
    assert lists.read("u", 9 * DAY, None, 0).today == listed("x")
    lists.close()


def test_a_broken_file_is_replaced(tmp_path, caplog):
    (tmp_path / DAILY_LISTS_FILE).write_bytes(b"no database" * 1000)
    lists = DailyLists(tmp_path)
    assert "daily lists are generated again" in caplog.text
    lists.write("u", 0, None, listed("t1"), 7)
    assert lists.read("u", 0, None, 7).today == listed("t1")
    lists.close()
