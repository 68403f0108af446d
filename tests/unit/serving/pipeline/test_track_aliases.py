"""Each id of a track works wherever a client names the track."""

import pytest

from recommender.catalog.vocabulary import Vocabulary
from serving.inspection.library import describe_library
from serving.pipeline.request import read_similar
from tests.support.serving.pipeline_harness import NOW, ids
from tests.support.serving.small_release import ListChannel, excluded, history, marked, release, tracks, view

TABLE = tracks(8)
OF = release(
    TABLE,
    [ListChannel("popularity", range(2, 10)), ListChannel("realtime", [9], near={5: [7, 8]})],
    vocabulary=Vocabulary.build(TABLE, TABLE.select("track_id"), aliases={"other3": "t3", "other0": "t0"}),
)


@pytest.mark.parametrize("track_id", ["t3", "other3"])
def test_requests_name_a_track_by_any_id(bench, track_id):
    assert ids(bench.path.recommend(read_similar(track_id, None, None, NOW), OF)) == ["t5", "t6"]


def test_a_block_by_one_id_is_taken_back_by_another(bench):
    bench.store.users["u"] = history("other0") | excluded(("track", "other3"))
    blocked = bench.ask(OF)
    assert blocked[0] == "t0" and "t3" not in blocked
    event = {"user_id": "u", "action": "undislike", "target_type": "track", "target_id": "t3", "ended_at": NOW}
    bench.store.report([event, event | {"action": "unblock"}])
    assert "t3" in bench.ask(OF)


def test_the_library_has_a_track_once():
    likes = marked(*(("like", "track", track) for track in ("t3", "other3", "other0")), ("unlike", "track", "t0"))
    (liked,) = describe_library("u", view("library", *likes), OF).liked
    assert (liked.target_id, liked.at, liked.track.track_id) == ("t3", 1, "t3")
