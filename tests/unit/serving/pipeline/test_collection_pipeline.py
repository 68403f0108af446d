"""Scenes of playlists and mlogs: filters, and fallback when the source fails."""

import pytest

from recommender.recall.reason import Reason
from serving.errors import NoCollections
from serving.pipeline.request import read_request
from tests.support.serving.list_source import ListSource
from tests.support.serving.pipeline_harness import NOW
from tests.support.serving.small_release import excluded, release, tracks


def ask(bench, source, scene, user_id="u", limit=10, **wanted):
    return bench.path.recommend(
        read_request(user_id, scene, limit, NOW, **wanted),
        release(tracks(8), [], collection_channels={source.name: source}),
    )


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
    (record,) = bench.exposures()
    assert [(one["target_type"], one["target_id"], one["position"]) for one in record["items"]] == [
        ("playlist", "p3", 0),
        ("playlist", "p2", 1),
    ]
    assert (record["scene"], record["items"][0]["channels"]) == ("playlists", ["playlists"])


def test_most_opened_but_excluded_ones_are_returned_when_the_source_fails(bench):
    bench.store.users["u"] = excluded(("playlist", "p2"))
    answer = ask(bench, ListSource("playlist", [[2], [3], [4]], [], is_failing=True), "playlists", limit=2)
    assert [item.target for item in answer.items] == [("playlist", "p3"), ("playlist", "p4")]
    assert {(item.reason, *item.channels) for item in answer.items} == {(Reason("most_opened"),)}
    assert answer.trace.left_out == {"playlists": "failed"}


@pytest.mark.parametrize(
    "source", [ListSource("mlog", [], []), ListSource("playlist", [[2]], [2])], ids=["no mlogs", "only playlists"]
)
def test_release_without_collections_is_rejected(bench, source):
    with pytest.raises(NoCollections, match="release r1 has no mlogs; land and train some"):
        ask(bench, source, "mlog")
