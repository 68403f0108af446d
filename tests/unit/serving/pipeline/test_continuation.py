"""Playlist continuation and similar tracks: seeds, titles, negative seeds, excluded tracks and reasons."""

from functools import partial

import pytest

from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.continuation.source import SimilarItems
from recommender.slate.continuation_weights import Continuation
from recommender.slate.fusion import ReciprocalRank
from recommender.slate.ranker_blend import Blend
from serving.messages import render_reason
from serving.pipeline.request import read_request, read_similar
from tests.support.serving.pipeline_harness import NOW, ids
from tests.support.serving.small_release import FavourRanker, ListChannel, release, tracks
from tests.support.training.playlist_source import PlaylistSource

VECTORS, GRAPH = PlaylistSource("realtime", [7, 8, 9]), PlaylistSource("knowledge_graph", [9, 2, 3])
WORDS = PlaylistSource("title_words", [6, 9], needs_title=True)
NEAR = {
    "realtime": SimilarItems(
        ListChannel("realtime", [2], near={2: [7, 8, 9], 3: [7, 8], 4: [10, 8], 5: [7, 8, 9], 6: []})
    )
}
ONLY = {name: ReciprocalRank({name: 1.0}) for name in ("realtime", "knowledge_graph")}
BY_SEEDS = {"continuation": Continuation({"1": ONLY["realtime"], "2": ONLY["knowledge_graph"]})}
ARTISTS = ["a"] * 12 + ["b"] * 6 + ["c"]
MANY = tracks(19, artist_id=ARTISTS, artist_ids=[[one] for one in ARTISTS], track_id=[f"t{n:02}" for n in range(19)])


def served(table=None, sources=(VECTORS, GRAPH, WORDS), **parts):
    table = tracks(8) if table is None else table
    named = sources if isinstance(sources, dict) else {one.name: one for one in sources}
    return release(table, [ListChannel("popularity", range(2, 10))], continuation_sources=named, **parts)


def ask(bench, of, seeds=("t3",), limit=3, user_id=None, **wanted):
    return bench.path.recommend(read_request(user_id, "daily", limit, NOW, seeds=seeds, **wanted), of)


@pytest.mark.parametrize(
    ("parts", "wanted", "expected"),
    [
        # By hand: t7 has 1/61 + 1/63, t5 1/61, t0 and t6 1/62, t1 1/63; t0 and t1 are by one artist, and are kept apart.
        pytest.param(
            {"ranker": FavourRanker(3), "blend": Blend(1.0)},
            {"limit": 5},
            ["t7", "t5", "t0", "t6", "t1"],
            id="fused by rank without the ranker",
        ),
        pytest.param(BY_SEEDS, {"limit": 1}, ["t5"], id="weights of one seed"),
        pytest.param(BY_SEEDS, {"limit": 1, "seeds": ("t3", "t2")}, ["t7"], id="weights of two seeds"),
        pytest.param(
            BY_SEEDS
            | {"vocabulary": Vocabulary.build(tracks(8), tracks(8).select("track_id"), aliases={"other id": "t3"})},
            {"limit": 1, "seeds": ("t3", "other id")},
            ["t5"],
            id="two ids of a track are one seed",
        ),
        # By hand: t7 has 1/63 + 0.5/62, t5 1/61, t6 1/62; t4 has 0.5/61 and is the last.
        pytest.param(
            {"sources": (VECTORS, WORDS), "continuation": Continuation({"1": ONLY["realtime"]})},
            {"title": "Calm", "limit": 4},
            ["t7", "t5", "t6", "t4"],
            id="a title supports candidates of seeds and does not outvote them",
        ),
        pytest.param({}, {"seeds": (), "title": " Calm ", "limit": 2}, ["t4", "t7"], id="a title alone"),
        pytest.param(
            {"table": MANY, "sources": [PlaylistSource("realtime", range(2, 20))]},
            {"seeds": ("t18",), "limit": 8},
            ["t00", "t12", "t01", "t13", "t02", "t14", "t03", "t15"],
            id="artists are capped and kept apart",
        ),
    ],
)
def test_tracks_that_continue_a_playlist(bench, parts, wanted, expected):
    assert ids(ask(bench, served(**parts), **wanted)) == expected


@pytest.mark.parametrize(
    ("seeds", "title", "reason"),
    [
        (("t3",), "", "because it is close to Song 3 by Artist 1"),
        (("t3", "t2"), "", "because it fits the tracks of the playlist"),
        ((), " Calm ", "because it fits the title Calm"),
    ],
)
def test_reasons_name_one_seed_the_playlist_or_the_title(bench, seeds, title, reason):
    answer = ask(bench, served(), seeds, title=title, limit=2)
    assert {render_reason(item.reason, "en") for item in answer.items} == {reason}


@pytest.mark.parametrize("sources", [(VECTORS, GRAPH, WORDS), ()])
def test_popular_tracks_fill_what_a_title_alone_does_not_find(bench, sources):
    assert len(set(ids(ask(bench, served(sources=sources), seeds=(), title="Calm", limit=4)))) == 4


def test_exposures_are_recorded_with_a_user_only(bench):
    ask(bench, served())
    assert bench.exposures() == []
    answer = ask(bench, served(), user_id="u")
    (record,) = bench.exposures()
    assert (record["request_id"], record["scene"]) == (answer.request_id, "continuation")


def test_excluded_tracks_leave_one_response_and_not_the_daily_list(bench):
    of = served()
    listed = bench.ask(of, limit=4)
    without = ids(bench.path.recommend(read_request("u", "daily", 4, NOW, exclude=[listed[0]]), of))
    assert without[1:] == listed[1:] and listed[0] not in without
    assert bench.ask(of, limit=4) == listed


@pytest.mark.parametrize(
    ("read", "is_filled"),
    [
        pytest.param(partial(read_similar, "t0", 3, None, NOW), False, id="similar tracks"),
        pytest.param(partial(read_request, None, "daily", 3, NOW, seeds=["t0"]), True, id="continuation"),
    ],
)
@pytest.mark.parametrize(
    ("unlike", "exclude", "expected"),
    [
        ([], [], ["t5", "t6", "t7"]),
        (["t1"], [], ["t7", "t5", "t6"]),  # 61/63 is more than 1 - 1/2
        (["t2"], [], ["t5", "t7", "t6"]),
        (["t6"], [], ["t5", "t7"]),  # never in the answer
        (["t8"], [], ["t6", "t7"]),  # nor another version of it
        (["t4"], [], ["t5", "t6", "t7"]),  # without neighbors
        (["t2"], ["t5"], ["t7", "t6"]),
    ],
)
def test_what_is_close_to_negative_seeds_sinks(bench, read, is_filled, unlike, exclude, expected):
    artists, recordings = [f"b{n}" for n in range(9)], [f"r{n % 8 + 5 * (n == 8)}" for n in range(9)]
    table = tracks(9, artist_ids=[[one] for one in artists], artist_id=artists, recording_id=recordings)
    answer = bench.path.recommend(read(exclude=exclude, negative_seeds=unlike), served(table, NEAR))
    assert ids(answer)[: len(expected)] == expected and not {*ids(answer)} & {*unlike, *exclude}
    assert {item.reason.code for item in answer.items[: len(expected)]} == {"close_to_track"}
    assert is_filled or len(answer.items) == len(expected)  # similar tracks are not filled with popular ones


def test_weights_of_similar_tracks_are_those_of_one_seed_without_a_title(bench):
    of = served(continuation=Continuation(BY_SEEDS["continuation"].weights | {"1_title": ONLY["knowledge_graph"]}))
    assert ids(bench.path.recommend(read_similar("t3", 3, None, NOW), of)) == ["t5", "t6", "t0"]


def test_a_track_without_neighbors_has_no_similar_ones(bench):
    assert ids(bench.path.recommend(read_similar("t4", None, None, NOW), served(sources=NEAR))) == []
