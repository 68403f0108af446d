"""Track pipeline on a hand-made release: order, reasons, failing parts, exclusions."""

import time
from collections import Counter
from contextlib import nullcontext
from types import SimpleNamespace
from unittest import mock

import pytest
from prometheus_client import CollectorRegistry

from event_store.store import StoreUnavailable
from recommender.ranking.task_weights import TaskWeights
from recommender.recall.reason import Reason
from recommender.slate.fusion import Fusion, ReciprocalRank
from recommender.slate.ranker_blend import Blend
from serving.observability.metrics import Metrics
from serving.pipeline.pipeline import hash_features
from serving.pipeline.request import read_request
from serving.pipeline.stages.recall import Recall, WarmUpFailed
from serving.pipeline.track_pipeline import RANKER_FAILED
from serving.releases.warm_up import warm_up
from serving.response_rendering import render_recommendation
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import (
    FavourRanker,
    ListChannel,
    excluded,
    history,
    marked,
    release,
    tracks,
    view,
)

POPULARITY, REALTIME = ListChannel("popularity", range(2, 10)), ListChannel("realtime", [9, 8, 7])
ONLY_REALTIME = ReciprocalRank({"popularity": 0.0, "realtime": 1.0})


def test_channels_are_fused_by_rank_and_named(bench):
    bench.store.users["u"] = history("t0")
    of = release(tracks(8), [POPULARITY, REALTIME])
    answer = bench.answer(of, limit=4)
    # By hand: t0 is a repeat and first. Of the others t7 has 1/61 + 1/67, t6 1/62 + 1/66, t5 1/63 + 1/65, t1 only 1/61.
    # t6 has the artist of t7.
    assert [item.track_id for item in answer.items] == ["t0", "t7", "t5", "t6"]
    assert answer.items[0].channels == ["popularity"]
    assert answer.items[1].channels == ["realtime", "popularity"]
    assert answer.items[1].reason == Reason("fits_title", {"title": "realtime"})
    assert (answer.items[1].details["title"], answer.items[1].details["artists"]) == ("Song 7", ["Artist 3"])
    (record,) = bench.exposures()
    assert (record["request_id"], record["user_id"], record["release"]) == (answer.request_id, "u", "r1")
    shown = {"propensity": 1.0, "is_exploration": False, "target_type": "track"}
    assert record["items"] == [
        {"target_id": one.track_id, "position": place, "channels": one.channels, **shown}
        for place, one in enumerate(answer.items)
    ]
    assert record["features_hash"] == hash_features(
        bench.hydrate.load_user_state(read_request("u", "daily", 4, NOW), of).users
    )


HEADS = TaskWeights({"": {"not_skipped": 1.0}, "private_fm": {"like": 1.0}})


def ranked(ranker, weight, **blend):
    """Parts of a release whose channels agree, in a stream of one track."""
    return {
        "channels": [POPULARITY, ListChannel("realtime", range(2, 10))],
        "ranker": ranker,
        "blend": Blend(weight, **blend),
    }


@pytest.mark.parametrize(
    ("played", "parts", "wanted", "expected"),
    [
        pytest.param(
            (),
            {"fusion": Fusion(discoveries=ONLY_REALTIME)},
            {"limit": 3, "scene": "daily"},
            ["t0", "t2", "t1"],
            id="unknown user",
        ),
        *(
            pytest.param(("t0", "t1", "t4"), ranked(FavourRanker(6), weight), {}, [best], id=f"ranker {weight}")
            for weight, best in ((0.0, "t0"), (0.9, "t4"))
        ),
        *(
            pytest.param(
                ("t0", "t1", "t4"),
                ranked(FavourRanker(8), 0.9, discovery_weight=weight),
                {"discovery": 1.0},
                [best],
                id=f"ranker of discoveries {weight}",
            )
            for weight, best in ((0.0, "t2"), (0.9, "t6"))
        ),
        *(
            pytest.param(
                ("t0", "t4", "t5"),
                ranked(FavourRanker(6, like=7), 0.9, heads=HEADS),
                {"scene": scene},
                [best],
                id=scene,
            )
            for scene, best in (("private_fm", "t5"), ("daily", "t4"))
        ),
    ],
)
def test_order_of_tracks(bench, played, parts, wanted, expected):
    if played:
        bench.store.users["u"] = history(*played)
    of = release(tracks(8), **{"channels": [POPULARITY, REALTIME]} | parts)
    assert bench.ask(of, **{"limit": 1, "scene": "private_fm"} | wanted) == expected


def test_most_played_tracks_when_all_channels_fail(bench):
    bench.store.users["u"] = history("t0")
    answer = bench.answer(
        release(tracks(4), [ListChannel(name, [], is_failing=True) for name in ("popularity", "realtime")])
    )
    assert [(item.track_id, item.channels) for item in answer.items] == [(f"t{n}", []) for n in (0, 2, 1, 3)]
    assert answer.items[0].reason == Reason("most_played")
    assert list(answer.trace.degraded) == ["recall"] and "popular items only" in answer.trace.degraded["recall"]


def test_no_reason_says_most_played_of_a_track_that_was_only_skipped(bench):
    popular = ListChannel("popularity", [2, 3], reason=Reason("most_played"))  # as for tracks without listens
    for user, channels in {"u": [popular], "v": [ListChannel("popularity", [], is_failing=True)]}.items():
        answer = bench.answer(release(tracks(2, plays_total=[1, 9], listens_total=[1, 0]), channels), user_id=user)
        assert [item.reason for item in answer.items] == [Reason("most_played"), None]


def test_other_sounds_are_recommended_to_users_who_listened_to_them_twice(bench):
    of = release(tracks(8, is_music=[False, *[True] * 6, False]), [POPULARITY, REALTIME])
    for listened, expected in {("t1",): set(), ("t1", "t0"): set(), ("t0", "t1", "t0"): {"t0"}}.items():
        bench.store.users["u"] = history(*listened)
        assert {"t0", "t7"} & set(bench.ask(of)) == expected
    assert bench.count("segue_removed", filter="not_music") > 0


def test_channels_after_the_deadline_are_left_out_of_one_response(tmp_path):
    bench = Bench(tmp_path, deadline_s=0.2)
    slow = SimpleNamespace(wait=lambda: time.sleep(0.3))
    channels = [ListChannel("realtime", range(2, 10), until=slow), POPULARITY]
    of, bench.store.users["u"] = release(tracks(8), channels), history("t0")
    answer = bench.answer(of, limit=3)
    assert answer.trace.left_out == {"popularity": "late"} and len(answer.items) == 3
    assert bench.count("segue_skipped", part="popularity", reason="late") == 1
    # The next request of the same state calls only what it lacks.
    again = bench.answer(of, limit=3, scene="private_fm")
    assert set(again.trace.candidates) == {"realtime", "popularity"} and len(channels[0].calls) == 1


def test_failing_ranker_keeps_the_fused_order_and_is_counted(bench):
    bench.store.users["u"] = history("t0")
    of = release(tracks(8), [POPULARITY, REALTIME], ranker=FavourRanker(2, is_failing=True), blend=Blend(0.5))
    answer = bench.answer(of, limit=2)
    assert [item.track_id for item in answer.items] == ["t0", "t7"]
    assert answer.trace.degraded == {"ranker": RANKER_FAILED}
    assert bench.count("segue_skipped", part="ranker", reason="failed") == 1


def test_block_takes_effect_while_the_store_fails(bench):
    of = release(tracks(8), [POPULARITY])
    bench.store.users["u"] = history("t0") | excluded(("track", "t5"), ("playlist", "t4"), ("mlog", "t6"))
    assert bench.ask(of)[:2] == ["t0", "t2"]
    bench.store.is_away = True
    events = marked(
        ("block", "track", "t0"), ("dislike", "artist", "a1"), ("like", "track", "t6"), ("block", "playlist", "t7")
    )
    bench.store.report([event | {"user_id": "u", "action": event["behavior"], "ended_at": NOW} for event in events])
    assert set(bench.ask(of)) == {"t1", "t4", "t6", "t7"}
    bench.store.is_away = False  # and does not have the events yet
    assert set(bench.ask(of)) == {"t1", "t4", "t6", "t7"}
    assert "t0" in bench.ask(of, user_id="v")


def test_stream_excludes_tracks_of_the_current_session(bench):
    minute = 60_000_000
    happened = [("t0", "full_play", 300), ("t1", "skip", 20), ("t2", "full_play", 10), ("t3", "like", 5)]  # minutes ago
    events = [
        {"track_id": track, "behavior": did, "occurred_at": NOW - (ago + 3) * minute, "ended_at": NOW - ago * minute}
        for track, did, ago in happened
    ]
    bench.store.users["u"] = view("recent_events", *events, played_ratio=1.0, scene="private_fm")
    of = release(tracks(8), [ListChannel("popularity", range(2, 10))])
    stream = bench.ask(of, scene="private_fm", limit=8, discovery=0.0)
    assert {"t0", "t3"} <= set(bench.ask(of, scene="daily", limit=8)) and "t1" not in stream and "t2" not in stream
    assert stream[0] == "t0"
    bench.now = NOW + 60 * minute  # the session has ended
    assert bench.ask(of, scene="private_fm", limit=8, discovery=0.0)[:2] == [
        "t2",
        "t0",
    ]  # one track per artist: t0 and t1 have the same; t2 was played last


@pytest.mark.parametrize(
    "skipped", [[], ["a3"], ["a4", "a0", "a2"], ["a1", "a0", "a3", "a2"], ["a2", "a4", "a1", "a3", "a0"]]
)
@pytest.mark.parametrize("discovery", [None, 0.0, 1.0])
@pytest.mark.parametrize("limit", [3, 5])
def test_artists_that_rest_return_in_the_order_of_their_skips_if_tracks_lack(bench, limit, skipped, discovery):
    """A music folder of five artists, with four tracks each."""
    artists = [f"a{n // 4}" for n in range(20)]
    played = [*range(0, 20, 4), *(4 * int(one[1:]) + 1 for one in skipped)]  # the first track of each, then the skips
    views = history(*(f"t{n}" for n in played))["played_history"]
    views["behavior"][5:] = ["skip"] * len(skipped)
    views["ended_at"] = views["occurred_at"] = [NOW - (20 - place) * 60_000_000 for place in range(len(played))]
    views["ended_at"][:5] = views["occurred_at"][:5] = range(5)
    bench.store.users["u"] = {"played_history": views}
    of = release(
        tracks(20, artist_id=artists, artist_ids=[[one] for one in artists]), [ListChannel("popularity", range(2, 22))]
    )
    answer = bench.ask(of, scene="private_fm", limit=limit, discovery=discovery)
    found, needed = {artists[int(track[1:])] for track in answer}, max(limit - (5 - len(skipped)), 0)
    assert not found & {*skipped[needed:]} and found >= {*skipped[:needed]}
    assert len(found) == len(answer) == limit


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"liked": range(9)}, {"liked": 9}),  # nothing else holds
        ({"liked": range(9), "played_recently": range(4)}, {"liked": 6, "played_recently": 3}),
        ({"liked": range(9), "played_recently": [8]}, {"liked": 8, "played_recently": 1}),
        (
            {"liked": range(9), "played_recently": range(9), "near_interests": range(9)},
            dict.fromkeys(("liked", "played_recently", "near_interests"), 3),
        ),
        ({"listened_before": range(9), "listened_times": range(9)}, {"listened_before": 9}),  # of one kind
        ({"listens_to": range(9), "listens_to_path": range(9)}, {"listens_to": 9}),
        ({"liked": range(9), "most_played": range(9)}, {"liked": 9}),  # no track was listened to
    ],
)
def test_a_third_of_the_reasons_are_of_one_kind_where_others_hold(bench, found, expected):
    channels = [
        ListChannel(f"{number}", [item + 2 for item in items], reason=Reason(code))
        for number, (code, items) in enumerate(found.items())
    ]
    table = tracks(
        9,
        artist_ids=[[f"b{n}"] for n in range(9)],
        artist_id=[f"b{n}" for n in range(9)],
        plays_total=[1] * 9,
        listens_total=[0] * 9,
    )
    assert Counter(item.reason.code for item in bench.answer(release(table, channels), limit=9).items) == expected


def test_items_of_a_channel_that_fails_to_give_reasons_have_none(bench):
    bench.store.users["u"] = history("t0")
    failing = ListChannel("realtime", [3, 4])
    failing.reasons = mock.Mock(return_value=[])
    of = release(tracks(8), [failing, ListChannel("popularity", [2])])
    reasons = {item.track_id: item.reason for item in bench.answer(of, limit=3).items}
    assert reasons.pop("t0").parameters == {"title": "popularity"} and set(reasons.values()) == {None}
    assert bench.count("segue_skipped", part="reason_realtime", reason="failed") == 1


@pytest.mark.parametrize(
    ("channels", "parts", "columns", "message"),
    [
        ([POPULARITY, REALTIME], {"ranker": FavourRanker(2)}, {}, ""),
        ([POPULARITY, ListChannel("realtime", [])], {"fusion": Fusion(ONLY_REALTIME, ONLY_REALTIME)}, {}, ""),
        ([POPULARITY, ListChannel("realtime", [], is_failing=True)], {}, {}, "fails in realtime"),
        ([POPULARITY], {"ranker": FavourRanker(2, is_failing=True)}, {}, "fails in ranker"),
        (
            [POPULARITY],
            {"ranker": FavourRanker(6), "blend": Blend(0.9, TaskWeights({"": {"like": 1.0}}))},
            {},
            "no task like",
        ),
        ([POPULARITY], {"search": object()}, {}, "fails in search"),
        ([POPULARITY], {}, {"is_in_catalog": [False] * 8}, "no candidates that may be shown"),
    ],
)
def test_warm_up_rejects_a_release_and_names_the_failing_part(channels, parts, columns, message):
    recall = Recall(Metrics(CollectorRegistry()), deadline_s=60)
    with pytest.raises(WarmUpFailed, match=message) if message else nullcontext():
        warm_up(release(tracks(8, **columns), channels, **parts), NOW, recall)


def test_failed_store_and_lists_are_named_in_the_response(bench):
    of = release(tracks(8), [POPULARITY])
    bench.store.users["u"] = history("t0")
    bench.ask(of)
    bench.store.is_away = True
    bench.state.read_lists = bench.state.replace_list = mock.Mock(side_effect=StoreUnavailable("disk full"))
    for user, lack in (("u", "from an earlier request"), ("v", "like an unknown one")):
        sent = render_recommendation(bench.answer(of, user_id=user), "en", True).model_dump()
        assert lack in sent["degraded"]["online_store"] and "list of today" in sent["degraded"]["daily_lists"]
        assert sent["trace"]["degraded"] == sent["degraded"] and sent["items"]


@pytest.mark.parametrize(
    ("target", "hidden"),
    [(("album", "a"), {"t0", "t1"}), (("interest", "Korean"), {"t0", "t3"}), (("album", "other"), set())],
)
def test_what_is_left_out_of_the_profile_is_neither_seen_nor_recommended(bench, target, hidden):
    table = tracks(8, album_id=["a", "a", *[None] * 6], languages=[["Korean"], [], [], ["Korean"], *[[]] * 4])
    channel = ListChannel("popularity", range(2, 10))
    bench.store.users["u"] = history("t0", "t2") | view("exclusions", *marked(("exclude", *target)), ended_at=5)
    assert set(bench.ask(release(table, [channel]), limit=8)) == {f"t{number}" for number in range(8)} - hidden
    assert channel.calls[-1].history_items.items.tolist() == ([4] if hidden else [2, 4])
