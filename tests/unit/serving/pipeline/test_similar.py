"""Similar tracks: channels, filters and rejected requests."""

import pytest

from serving.errors import RequestRejected, UnknownTrack
from serving.messages.catalog import render_reason
from serving.pipeline.request import read_similar
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import FavourRanker, ListChannel, release, tracks
from training.slate.blend import Blend
from training.slate.continuation_weights import Continuation
from training.slate.reciprocal_rank import ReciprocalRank

VECTORS = ListChannel("realtime", [2], near={5: [7, 8, 9], 4: []})
GRAPH = ListChannel("knowledge_graph", [2], near={5: [9, 2, 3]})
POPULARITY = ListChannel("popularity", range(2, 10))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def similar(bench, of, track_id="t3", limit=None, user_id=None):
    return bench.path.recommend(read_similar(track_id, limit, user_id, NOW), of)


def ids(answer):
    return [item.track_id for item in answer.items]


def test_without_fitted_weights_sources_are_fused_by_rank(bench):
    answer = similar(bench, release(tracks(8), [POPULARITY, VECTORS, GRAPH], ranker=FavourRanker(3), blend=Blend(1.0)))
    # By hand: t7 has 1/61 + 1/63, t5 1/61, t0 and t6 1/62 (the smaller number first), t1 1/63. The ranker is not called.
    assert ids(answer) == ["t7", "t5", "t0", "t6", "t1"]
    assert answer.items[0].channels == ["knowledge_graph", "realtime"]
    assert {render_reason(item.reason, "en") for item in answer.items} == {"because it is close to Song 3 by Artist 1"}
    assert (answer.trace.discovery, answer.trace.candidates) == (
        None,
        {"popularity": 0, "realtime": 3, "knowledge_graph": 3},
    )
    assert ids(similar(bench, release(tracks(8), [VECTORS, GRAPH]), limit=2)) == ["t7", "t5"]


def test_weights_are_those_of_one_seed_without_a_title(bench):
    only = {name: ReciprocalRank({name: 1.0}) for name in ("realtime", "knowledge_graph")}
    fitted = Continuation({"1": only["realtime"], "2": only["knowledge_graph"], "1_title": only["knowledge_graph"]})
    assert ids(similar(bench, release(tracks(8), [VECTORS, GRAPH], continuation=fitted), limit=3)) == ["t5", "t6", "t0"]


def test_exposures_are_recorded_with_a_user_only(bench):
    of = release(tracks(8), [VECTORS])
    similar(bench, of)
    assert bench.shown.rows == []
    answer = similar(bench, of, user_id="u")
    assert bench.shown.rows == [(answer.request_id, ["t5", "t6", "t7"])]


def test_short_response_is_not_filled_with_popular_tracks(bench):
    assert ids(similar(bench, release(tracks(8), [POPULARITY, VECTORS]), track_id="t2")) == []


def test_unknown_track_is_rejected(bench):
    with pytest.raises(UnknownTrack, match="track 'nowhere' is not in release r1; use the id of another track"):
        similar(bench, release(tracks(8), [VECTORS]), track_id="nowhere")


@pytest.mark.parametrize(
    ("track_id", "limit", "user_id", "message"),
    [
        (" ", None, None, "track_id"),
        ("t" * 257, None, None, "track_id"),
        ("t", None, "", "user_id"),
        ("t", 101, None, "limit 101"),
    ],
)
def test_invalid_request_is_rejected(track_id, limit, user_id, message):
    with pytest.raises(RequestRejected, match=message):
        read_similar(track_id, limit, user_id, NOW)
