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


def popular(*numbers, release_id="r1", **columns):
    """A release whose popularity channel finds these tracks in this order, each by its own artist."""
    whole = release(
        tracks(COUNT, artist_ids=[[f"a{n}"] for n in range(COUNT)], **columns),
        [ListChannel("popularity", [])],
        release_id=release_id,
    )
    return replace(
        whole,
        channels={"popularity": ListChannel("popularity", [whole.vocabulary.track_code[f"t{n}"] for n in numbers])},
    )


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


FAILING = replace(EARLY, channels={"popularity": ListChannel("popularity", [], is_failing=True)})


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(
            [
                (0, of, limit, ["t0", "t1", "t29", "t28"][:limit])
                for of, limit in ((EARLY, 2), (LATER, 4), (EARLY, 4), (EARLY, 1), (EARLY, 4))
            ],
            id="a list only grows at the end",
        ),
        pytest.param(
            [(day, EARLY, 2, [f"t{2 * day}", f"t{2 * day + 1}"]) for day in range(8)] + [(8, EARLY, 2, ["t0", "t1"])],
            id="tracks of seven days are excluded",
        ),
        pytest.param(
            [
                (0, FAILING, 2, ["t0", "t1"]),
                (0, LATER, 2, ["t29", "t28"]),
                (0, FAILING, 4, ["t29", "t28", "t0", "t1"]),
                (0, LATER, 4, ["t29", "t28", "t27", "t26"]),
            ],
            id="a list that was computed without any channel is not stored",
        ),
    ],
)
def test_lists_of_days(bench, story):
    for day, of, limit, expected in story:
        bench.now = NOW + day * DAY
        bench.start()
        assert bench.ask(of, limit=limit) == expected


def test_listed_tracks_keep_their_release(bench):
    answers = [bench.answer(of, limit=limit) for of, limit in ((EARLY, 2), (LATER, 3), (LATER, 2))]
    assert [answer.release for answer in answers] == ["r1", "r2", "r1"]
    assert [(item.release, item.track_id) for item in answers[1].items] == [("r1", "t0"), ("r1", "t1"), ("r2", "t29")]
    assert answers[1].trace.listed == 2
    assert [record["release"] for record in bench.exposures()] == ["r1", "r2", "r1"]


def test_repeat_requests_get_played_tracks_but_no_discovery_twice(bench):
    bench.store.users["u"] = history("t0", "t1")
    yesterday = bench.ask(EARLY, limit=4, discovery=0.4)
    assert yesterday == ["t0", "t2", "t1", "t3"]
    bench.now += DAY
    assert bench.ask(EARLY, limit=4, discovery=0.4) == ["t0", "t4", "t1", "t5"]
    assert not {*bench.ask(EARLY, limit=4, discovery=0.5), *bench.ask(EARLY, limit=4)} & set(yesterday)


def test_a_disliked_track_returns_to_its_place_when_the_dislike_is_taken_back(bench):
    bench.store.users["u"] = history("t9")
    listed = bench.ask(EARLY, limit=4)
    track = {"user_id": "u", "target_type": "track", "target_id": listed[1], "ended_at": bench.now}
    bench.store.report([track | {"action": "dislike"}])
    without = bench.ask(EARLY, limit=4)
    assert len(set(without)) == 4
    assert [old == new for old, new in zip(listed, without, strict=True)] == [True, False, True, True]
    assert bench.ask(EARLY, limit=4) == without
    assert bench.ask(EARLY, limit=6)[:4] == without
    bench.store.report([track | {"action": "undislike"}])
    assert bench.ask(EARLY, limit=4) == listed


def test_list_computed_during_store_failure_is_not_stored(bench):
    bench.store.users["u"] = history("t9")
    bench.store.is_away = True
    assert bench.ask(EARLY, limit=2) == ["t0", "t1"]
    bench.store.is_away = False
    assert bench.ask(EARLY, limit=2)[0] == "t9"


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
    assert len(bench.exposures()) == 3, "the response that was given up is not recorded as shown"


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
    with bench.state.writing() as database:
        ((text,),) = database.execute("select body from daily_lists").fetchall()
        database.execute("update daily_lists set body = ?", (change(json.loads(text)),))
    assert bench.ask(LATER, limit=3) == ["t29", "t28", "t27"] == bench.ask(EARLY, limit=3)


def test_damaged_file_is_replaced(tmp_path, caplog):
    (tmp_path / SERVING_FILE).write_bytes(b"no database" * 1000)
    state, request = SqliteServingState(tmp_path, lambda: 0), read_request("u", "daily", None, 0)
    assert "replacing the damaged" in caplog.text
    listed = [ListedTrack("t1", 0.5, ["popularity"], 0)]
    write_list(state, request, listed, DailyListHistory())
    assert read_lists(state, request).today == listed
