"""Similar tracks: channels, filters and rejected requests."""

import pytest

from recommender.slate.continuation_weights import Continuation
from recommender.slate.reciprocal_rank import ReciprocalRank
from serving.pipeline.request import read_request, read_similar
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


@pytest.mark.parametrize("is_continuation", [False, True])
@pytest.mark.parametrize(
    ("unlike", "exclude", "expected"),
    [
        ([], [], ["t5", "t6", "t7"]),
        (["t1"], [], ["t7", "t5", "t6"]),  # 61/63 is more than 1 - 1/2
        (["t2"], [], ["t5", "t7", "t6"]),
        (["t6"], [], ["t5", "t7"]),  # never in the answer
        (["t8"], [], ["t6", "t7"]),  # nor another version of it
        (["t3"], [], ["t5", "t6", "t7"]),  # without neighbors
        (["t2"], ["t5"], ["t7", "t6"]),
    ],
)
def test_what_is_close_to_negative_seeds_sinks(bench, is_continuation, unlike, exclude, expected):
    artists, recordings = [f"b{n}" for n in range(9)], [f"r{n % 8 + 5 * (n == 8)}" for n in range(9)]
    table = tracks(9, artist_ids=[[one] for one in artists], artist_id=artists, recording_id=recordings)
    of = release(table, [ListChannel("realtime", [2], near={2: [7, 8, 9], 3: [7, 8], 4: [10, 8]})])
    given = {"exclude": exclude, "negative_seeds": unlike}
    similar_to, continued = (
        read_similar("t0", 3, None, NOW, **given),
        read_request(None, "daily", 3, NOW, seeds=["t0"], **given),
    )
    answer = bench.path.recommend(continued if is_continuation else similar_to, of)
    assert ids(answer)[: len(expected)] == expected and not {*ids(answer)} & {*unlike, *exclude}
    assert {item.reason.code for item in answer.items[: len(expected)]} == {"close_to_track"}
    assert is_continuation or len(answer.items) == len(expected)  # similar tracks are not filled with popular ones


def test_short_response_is_not_filled_with_popular_tracks(bench):
    assert ids(similar(bench, release(tracks(8), [POPULARITY, VECTORS]), track_id="t2")) == []
