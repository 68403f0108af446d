"""Similar tracks: channels, filters and rejected requests."""

from recommender.slate.continuation_weights import Continuation
from recommender.slate.reciprocal_rank import ReciprocalRank
from serving.pipeline.request import read_similar
from tests.support.serving.pipeline_harness import NOW, ids
from tests.support.serving.small_release import ListChannel, release, tracks

VECTORS = ListChannel("realtime", [2], near={5: [7, 8, 9], 4: []})
GRAPH = ListChannel("knowledge_graph", [2], near={5: [9, 2, 3]})
POPULARITY = ListChannel("popularity", range(2, 10))


def similar(bench, of, track_id="t3", limit=None, user_id=None):
    return bench.path.recommend(read_similar(track_id, limit, user_id, NOW), of)


def test_weights_are_those_of_one_seed_without_a_title(bench):
    only = {name: ReciprocalRank({name: 1.0}) for name in ("realtime", "knowledge_graph")}
    fitted = Continuation({"1": only["realtime"], "2": only["knowledge_graph"], "1_title": only["knowledge_graph"]})
    assert ids(similar(bench, release(tracks(8), [VECTORS, GRAPH], continuation=fitted), limit=3)) == ["t5", "t6", "t0"]


def test_short_response_is_not_filled_with_popular_tracks(bench):
    assert ids(similar(bench, release(tracks(8), [POPULARITY, VECTORS]), track_id="t2")) == []
