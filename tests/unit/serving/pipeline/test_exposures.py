"""Exposures: one record per response."""

from serving.pipeline.pipeline import hash_features
from serving.pipeline.request import read_request
from tests.support.serving.pipeline_harness import NOW, Bench
from tests.support.serving.small_release import ListChannel, history, release, tracks

POPULARITY = ListChannel("popularity", range(2, 10))


def test_pipeline_records_release_features_and_channels(tmp_path):
    bench = Bench(tmp_path)
    bench.store.users["u"] = history("t0", "t1")
    answer = bench.answer(release(tracks(8), [POPULARITY]), limit=2)
    (record,) = bench.state.exposures
    assert (record["request_id"], record["user_id"], record["release"]) == (answer.request_id, "u", "r1")
    shown = {"channels": ["popularity"], "propensity": 1.0, "is_exploration": False, "target_type": "track"}
    assert record["items"] == [
        {"target_id": one.track_id, "position": place, **shown} for place, one in enumerate(answer.items)
    ]
    users = bench.hydrate.load_user_state(read_request("u", "daily", 2, NOW), release(tracks(8), [POPULARITY])).users
    assert record["features_hash"] == hash_features(users)
