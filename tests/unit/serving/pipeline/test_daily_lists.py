"""Daily lists: stability, growth, cooldown, and removal of excluded tracks."""

import json
from dataclasses import replace

import pytest

from event_store.sqlite_stores import SERVING_FILE, SqliteServingState
from serving.pipeline.daily_lists import DailyListHistory, ListedTrack, read_lists, write_list
from serving.pipeline.request import read_request
from tests.support.serving.pipeline_harness import DAY, NOW
from tests.support.serving.small_release import ListChannel, history, release, tracks

COUNT = 30


def listed(*track_ids):
    return [ListedTrack(track, 0.5, ["popularity"], place) for place, track in enumerate(track_ids)]


def asked(day, discovery=None):
    return read_request("u", "daily", None, day * DAY, discovery)


def popular(*numbers, release_id="r1", **columns):
    """A release whose popularity channel finds these tracks in this order, each by its own artist."""
    table = tracks(COUNT, artist_ids=[[f"a{n}"] for n in range(COUNT)], **columns)
    whole = release(table, [ListChannel("popularity", [])], release_id=release_id)
    items = [whole.vocabulary.track_code[f"t{n}"] for n in numbers]
    return replace(whole, channels={"popularity": ListChannel("popularity", items)})


EARLY, LATER = popular(*range(20)), popular(*reversed(range(COUNT)), release_id="r2")


def test_list_is_stable_within_the_utc_day(bench):
    bench.now = NOW // DAY * DAY
    first = bench.answer(EARLY, limit=3)
    assert [item.track_id for item in first.items] == ["t0", "t1", "t2"]
    bench.store.users["u"] = history("t9")
    bench.now += DAY - 1
    bench.start()
    again = bench.answer(LATER, limit=3)
    assert again.items == first.items
    assert (again.trace.listed, again.trace.candidates, again.release) == (3, {}, "r1")
    bench.now += 1
    assert bench.ask(EARLY, limit=3) == ["t9", "t3", "t4"]
    assert bench.ask(EARLY, limit=3, user_id="v") == ["t0", "t1", "t2"]


def test_list_only_grows_at_the_end(bench):
    first = bench.answer(EARLY, limit=2).items
    grown = bench.answer(LATER, limit=4)
    assert grown.items[:2] == first
    assert [item.track_id for item in grown.items] == ["t0", "t1", "t29", "t28"]
    assert grown.trace.listed == 2
    assert bench.answer(EARLY, limit=4).items == grown.items
    assert bench.answer(EARLY, limit=1).items == first[:1]
    assert bench.answer(EARLY, limit=4).items == grown.items


def test_listed_tracks_keep_their_release(bench):
    first = bench.answer(EARLY, limit=2)
    grown = bench.answer(LATER, limit=3)
    assert (first.release, grown.release) == ("r1", "r2")
    assert [(item.release, item.track_id) for item in grown.items] == [("r1", "t0"), ("r1", "t1"), ("r2", "t29")]
    assert bench.answer(LATER, limit=2).release == "r1"
    assert [record["release"] for record in bench.state.exposures] == ["r1", "r2", "r1"]


def test_tracks_of_seven_days_are_excluded(bench):
    for day in range(8):
        bench.start()
        bench.now = NOW + day * DAY
        assert bench.ask(EARLY, limit=2) == [f"t{2 * day}", f"t{2 * day + 1}"]
    bench.now += DAY
    assert bench.ask(EARLY, limit=2) == ["t0", "t1"]


def test_repeat_requests_get_played_tracks_but_no_discovery_twice(bench):
    bench.store.users["u"] = history("t0", "t1")
    yesterday = bench.ask(EARLY, limit=4, discovery=0.4)
    assert yesterday == ["t0", "t2", "t1", "t3"]
    bench.now += DAY
    assert bench.ask(EARLY, limit=4, discovery=0.4) == ["t0", "t4", "t1", "t5"]
    assert not set(bench.ask(EARLY, limit=4, discovery=0.5)) & set(yesterday)
    assert not set(bench.ask(EARLY, limit=4)) & set(yesterday)


def test_a_disliked_track_returns_to_its_place_when_the_dislike_is_taken_back(bench):
    bench.store.users["u"] = history("t9")
    listed = bench.ask(EARLY, limit=4)
    dislike = {
        "user_id": "u",
        "action": "dislike",
        "target_type": "track",
        "target_id": listed[1],
        "ended_at": bench.now,
    }
    bench.store.report([dislike])
    without = bench.ask(EARLY, limit=4)
    assert len(set(without)) == 4
    assert [old == new for old, new in zip(listed, without, strict=True)] == [True, False, True, True]
    assert bench.ask(EARLY, limit=4) == without
    assert bench.ask(EARLY, limit=6)[:4] == without
    bench.store.report([dislike | {"action": "undislike"}])
    assert bench.ask(EARLY, limit=4) == listed


def test_list_computed_during_store_failure_is_not_stored(bench):
    bench.store.users["u"] = history("t9")
    bench.store.is_away = True
    assert bench.ask(EARLY, limit=2) == ["t0", "t1"]
    bench.store.is_away = False
    assert bench.ask(EARLY, limit=2)[0] == "t9"


def test_list_computed_without_any_channel_is_not_stored(bench):
    failing = replace(EARLY, channels={"popularity": ListChannel("popularity", [], is_failing=True)})
    assert len(bench.ask(failing, limit=2)) == 2
    assert bench.ask(LATER, limit=2) == ["t29", "t28"]
    assert bench.ask(failing, limit=4)[:2] == ["t29", "t28"]
    assert bench.ask(LATER, limit=4) == ["t29", "t28", "t27", "t26"]


def test_a_list_that_another_worker_replaced_is_continued(bench):
    first, replace_list = bench.ask(EARLY, limit=3), bench.state.replace_list
    bench.now += DAY

    def replace_after_another(*arguments):
        bench.state.replace_list = replace_list
        others.extend(bench.ask(EARLY, limit=2))
        return replace_list(*arguments)

    others = []
    bench.state.replace_list = replace_after_another
    assert bench.ask(EARLY, limit=3)[:2] == others and not {*others} & {*first}
    assert len(bench.state.rows) == 3, "the response that was given up is not recorded as shown"


def change_row(state, change):
    """Apply `change` to the decoded tracks of the only stored list."""
    with state.writing() as database:
        ((text,),) = database.execute("select body from daily_lists").fetchall()
        database.execute("update daily_lists set body = ?", (change(json.loads(text)),))


@pytest.mark.parametrize(
    "change",
    [
        lambda tracks: json.dumps(tracks)[:-9],
        lambda tracks: json.dumps([{name: track[name] for name in track if name != "score"} for track in tracks]),
        lambda tracks: "1",
        lambda tracks: "[1]",
    ],
    ids=["torn", "no score", "number", "numbers"],
)
def test_a_damaged_list_is_made_anew(bench, change):
    bench.ask(EARLY, limit=3)
    change_row(bench.state, change)
    again = bench.ask(LATER, limit=3)
    assert again == ["t29", "t28", "t27"] == bench.ask(EARLY, limit=3)


def test_damaged_file_is_replaced(tmp_path, caplog):
    (tmp_path / SERVING_FILE).write_bytes(b"no database" * 1000)
    state = SqliteServingState(tmp_path, lambda: 0)
    assert "replacing the damaged" in caplog.text
    write_list(state, asked(0), listed("t1"), DailyListHistory())
    assert read_lists(state, asked(0)).today == listed("t1")
