"""Playlist continuation: seeds, titles, excluded tracks, filters and rejected requests."""

from dataclasses import replace
from itertools import pairwise

from recommender.catalog.vocabulary import Vocabulary
from recommender.slate.blend import Blend
from recommender.slate.continuation_weights import Continuation
from recommender.slate.reciprocal_rank import ReciprocalRank
from serving.messages import render_reason
from serving.pipeline.request import read_request
from tests.support.serving.pipeline_harness import NOW, ids
from tests.support.serving.small_release import FavourRanker, ListChannel, release, tracks
from tests.support.training.playlist_source import PlaylistSource

POPULARITY = ListChannel("popularity", range(2, 10))


VECTORS, GRAPH = PlaylistSource("realtime", [7, 8, 9]), PlaylistSource("knowledge_graph", [9, 2, 3])
WORDS = PlaylistSource("title_words", [6, 9], needs_title=True)


def served(table=None, sources=(VECTORS, GRAPH, WORDS), **parts):
    table = tracks(8) if table is None else table
    return release(table, [POPULARITY], continuation_sources={one.name: one for one in sources}, **parts)


def ask(bench, of, seeds=("t3",), title="", exclude=(), limit=3, user_id=None):
    request = read_request(user_id, "daily", limit, NOW, seeds=seeds, title=title, exclude=exclude)
    return bench.path.recommend(request, of)


def reasons(answer):
    return [render_reason(item.reason, "en") for item in answer.items]


def test_sources_are_fused_by_rank_without_the_ranker(bench):
    answer = ask(bench, served(ranker=FavourRanker(3), blend=Blend(1.0)), limit=5)
    # By hand: t7 has 1/61 + 1/63, t5 1/61, t0 and t6 1/62, t1 1/63; t0 and t1 are by one artist, and are kept apart.
    assert ids(answer) == ["t7", "t5", "t0", "t6", "t1"]
    assert answer.items[0].channels == ["knowledge_graph", "realtime"]
    assert set(reasons(answer)) == {"because it is close to Song 3 by Artist 1"}
    assert (answer.trace.discovery, answer.trace.candidates) == (
        None,
        {"realtime": 3, "knowledge_graph": 3, "title_words": 0},
    )


def test_weights_depend_on_the_number_of_seeds(bench):
    only = {name: ReciprocalRank({name: 1.0}) for name in ("realtime", "knowledge_graph")}
    of = served(continuation=Continuation({"1": only["realtime"], "2": only["knowledge_graph"]}))
    assert ids(ask(bench, of, limit=1)) == ["t5"]
    assert ids(ask(bench, of, seeds=("t3", "t2"), limit=1)) == ["t7"]


def test_two_ids_of_a_track_are_one_seed(bench):
    table, only = tracks(8), {"1": ReciprocalRank({"realtime": 1.0}), "2": ReciprocalRank({"knowledge_graph": 1.0})}
    vocabulary = Vocabulary.build(table, table.select("track_id"), aliases={"other id": "t3"})
    of = served(table, continuation=Continuation(only), vocabulary=vocabulary)
    assert ids(ask(bench, of, seeds=("t3", "other id"), limit=1)) == ids(ask(bench, of, limit=1)) == ["t5"]


def test_a_title_supports_candidates_of_seeds_and_does_not_outvote_them(bench):
    of = served(sources=(VECTORS, WORDS), continuation=Continuation({"1": ReciprocalRank({"realtime": 1.0})}))
    # By hand: t7 has 1/63 + 0.5/62, t5 1/61, t6 1/62; t4 has 0.5/61 and is the last.
    assert ids(ask(bench, of, title="Calm", limit=4)) == ["t7", "t5", "t6", "t4"]


def test_title_alone_is_enough_and_popular_tracks_fill_the_rest(bench):
    answer = ask(bench, served(), seeds=(), title=" Calm ", limit=4)
    assert ids(answer)[:2] == ["t4", "t7"] and len(set(ids(answer))) == 4
    assert reasons(answer)[0] == "because it fits the title Calm"
    assert len(ids(ask(bench, served(sources=()), seeds=(), title="Calm", limit=4))) == 4


def test_several_seeds_are_the_reason_together(bench):
    assert set(reasons(ask(bench, served(), seeds=("t3", "t2")))) == {"because it fits the tracks of the playlist"}


def test_exposures_are_recorded_with_a_user_only(bench):
    ask(bench, served())
    assert bench.state.rows == []
    answer = ask(bench, served(), user_id="u")
    assert bench.state.rows == [(answer.request_id, ids(answer))]
    assert bench.state.exposures[0]["scene"] == "continuation"


def test_artists_are_capped_and_kept_apart(bench):
    artists = ["a"] * 12 + ["b"] * 6 + ["c"]
    source = PlaylistSource("realtime", range(2, 20))
    table = tracks(
        19, artist_id=artists, artist_ids=[[one] for one in artists], track_id=[f"t{n:02}" for n in range(19)]
    )
    of = replace(served(table, [source]), channels={})
    answer = ask(bench, of, seeds=("t18",), limit=8)
    found = [artists[int(item.track_id[1:])] for item in answer.items]
    assert found == ["a", "b", "a", "b", "a", "b", "a", "b"]
    assert all(one != other for one, other in pairwise(found))


def test_excluded_tracks_leave_one_response_and_not_the_daily_list(bench):
    of = served()
    listed = bench.ask(of, limit=4)
    request = read_request("u", "daily", 4, NOW, exclude=[listed[0]])
    assert ids(bench.path.recommend(request, of))[1:] == listed[1:]
    assert listed[0] not in ids(bench.path.recommend(request, of))
    assert bench.ask(of, limit=4) == listed
