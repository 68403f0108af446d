"""Scenes of playlists and mlogs: filters, fallback when the source fails, and a click that changes the next
answer, over HTTP on a release of small fitted models.
"""

import pytest
from prometheus_client import CollectorRegistry

from recommender.recall.reason import Reason
from serving.errors import NoCollections
from serving.observability.metrics import Metrics
from serving.pipeline.collection_pipeline import CollectionPipeline
from serving.pipeline.request import read_request
from serving.pipeline.stages.recall import Recall
from serving.releases.warm_up import warm_up
from tests.support.serving.asgi_client import serving_client
from tests.support.serving.collection_release import opened_release
from tests.support.serving.list_source import ListSource
from tests.support.serving.pipeline_harness import NOW
from tests.support.serving.small_release import excluded, release, tracks
from tests.support.training.collection_world import PLAYLISTS


def ask(bench, source, scene, user_id="u", limit=10, catalog=None, **wanted):
    path = CollectionPipeline(bench.hydrate, Recall(bench.metrics, 60.0), bench.state, bench.metrics)
    of_release = release(catalog if catalog is not None else tracks(8), [], collection_channels={source.name: source})
    return path.recommend(read_request(user_id, scene, limit, NOW, **wanted), of_release)


def test_playlist_has_reason_and_playable_tracks(bench):
    source = ListSource("playlist", [[2, 3], [4, 5, 6, 7, 8, 9], [9]], [3, 2])
    bench.store.users["u"] = excluded(("track", "t2"), ("artist", "a3"))
    answer = ask(bench, source, "playlists")
    first, second = answer.items
    assert (first.target, first.details["title"], first.channels) == (("playlist", "p3"), "p3", ["playlists"])
    assert first.reason == Reason("fits_title", {"title": "p3"})
    # Of p3 track t2 is blocked and t6 and t7 are by a3; p4 has only t7 and is excluded, although it is opened often.
    assert [track["track_id"] for track in first.details["tracks"]] == ["t3", "t4", "t5"]
    assert second.target == ("playlist", "p2")
    assert [track["title"] for track in second.details["tracks"]] == ["Song 0", "Song 1"]
    assert answer.trace.removed == {"unplayable_playlists": 1}
    (record,) = bench.state.exposures
    assert [(one["target_type"], one["target_id"], one["position"]) for one in record["items"]] == [
        ("playlist", "p3", 0),
        ("playlist", "p2", 1),
    ]
    assert (record["scene"], record["items"][0]["channels"]) == ("playlists", ["playlists"])


def test_most_opened_is_returned_when_the_source_fails(bench):
    source = ListSource("playlist", [[2], [3], [4]], [], is_failing=True)
    answer = ask(bench, source, "playlists", limit=2)
    assert [item.target for item in answer.items] == [("playlist", "p2"), ("playlist", "p3")]
    assert {(item.reason, *item.channels) for item in answer.items} == {(Reason("most_opened"),)}
    assert answer.trace.left_out == {"playlists": "failed"}


def test_release_without_collections_is_rejected(bench):
    for source in (ListSource("mlog", [], []), ListSource("playlist", [[2]], [2])):
        with pytest.raises(NoCollections, match="release r1 has no mlogs; land and train some"):
            ask(bench, source, "mlog")


def test_click_changes_the_next_response_over_http(tmp_path):
    served = opened_release(tmp_path / "marts")
    warm_up(served, NOW, Recall(Metrics(CollectorRegistry()), 60.0))
    with serving_client(tmp_path / "home", lambda _: served) as client:

        def recommend_scene(scene):
            answer = client.post("/recommend", json={"user_id": "u2", "scene": scene, "limit": 4, "debug": True})
            assert answer.status_code == 200, answer.text
            return answer.json()["items"]

        first = recommend_scene("playlists")
        assert {item["reason"] for item in first} == {"because many people open it"}
        opened = next(name for name in PLAYLISTS if name not in [item["playlist_id"] for item in first])
        event = {"user_id": "u2", "action": "click", "target_type": "playlist", "target_id": opened}
        assert client.post("/events", json={"events": [event]}).json()["accepted"] == 1
        second = recommend_scene("playlists")[0]
        assert (second["playlist_id"], second["reason"]) == (opened, "because you opened it not long ago")
        assert set(second) == {"playlist_id", "title", "score", "channels", "reason", "track_count", "tracks"}
        assert [track["track_id"] for track in second["tracks"]] == PLAYLISTS[opened]
        whole = client.get(f"/playlists/{opened}").json()
        assert [track["track_id"] for track in whole["tracks"]] == PLAYLISTS[opened]
        assert (whole["id"], whole["track_count"]) == (opened, len(PLAYLISTS[opened]))
        mlogs = recommend_scene("mlog")
        assert mlogs and all("mlog_id" in item for item in mlogs)
        client.post("/events", json={"events": [event | {"action": "dislike"}]})
        assert opened not in [item["playlist_id"] for item in recommend_scene("playlists")]
