"""Paths between two tracks: ends, filters, exposures and rejected requests."""

import numpy as np
import pytest

from serving.errors import NoItemVectors, NotReady, RequestRejected, UnknownTrack
from serving.messages import render_reason
from serving.pipeline.request import read_path
from serving.pipeline.smooth_path_pipeline import PathPipeline
from serving.pipeline.stages.recall import Recall
from tests.support.serving.pipeline_harness import NOW, ids
from tests.support.serving.small_release import ListChannel, excluded, release, tracks

COUNT = 9


class Quarter(ListChannel):
    """Items on a quarter of a circle, in the order of their numbers."""

    def items_between(self, first, last, points, k):
        if self.is_failing:
            raise RuntimeError("out of order")
        items = np.array([first, *(one for one in range(2, COUNT + 2) if one not in (first, last)), last])
        return items[None, :]

    def item_vectors(self, items):
        angle = np.pi / 2 * (items - 2) / (COUNT - 1)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


@pytest.fixture
def bench(bench):
    bench.path = PathPipeline(bench.hydrate, Recall(bench.metrics, 60), bench.state, bench.metrics)
    return bench


def served(channel=None, **columns):
    artists = [[f"a{n}"] for n in range(COUNT)]
    return release(tracks(COUNT, **{"artist_ids": artists} | columns), [channel or Quarter("realtime", [])])


def path(bench, of, first="t0", last="t8", length=5, user_id=None, **policy):
    return bench.path.recommend(read_path(first, last, length, user_id, NOW, **policy), of)


def test_path_leads_evenly_from_one_track_to_the_other(bench):
    answer = path(bench, served())
    assert ids(answer) == ["t0", "t2", "t4", "t6", "t8"]
    assert [item.score for item in answer.items] == pytest.approx([1.0, *[np.cos(np.pi / 8)] * 4], abs=1e-5)
    texts = [render_reason(item.reason, "en") for item in answer.items]
    assert texts[0] == texts[-1] == "because you chose it"
    assert set(texts[1:-1]) == {"because it leads from Song 0 by Artist 0 to Song 8 by Artist 4"}
    assert ids(path(bench, served(), "t8", "t0", 3)) == ["t8", "t4", "t0"]
    assert ids(path(bench, served(), length=2)) == ["t0", "t8"]


def test_path_has_playable_tracks_only(bench):
    assert ids(path(bench, served(is_in_catalog=[n != 4 for n in range(COUNT)]), length=3)) in (
        ["t0", "t3", "t8"],
        ["t0", "t5", "t8"],
    )
    recordings = ["x", None, None, None, "x", "y", None, None, "y"]
    assert set(ids(path(bench, served(recording_id=recordings), length=9))) == {f"t{n}" for n in (0, 1, 2, 3, 6, 7, 8)}
    explicit = served(is_explicit=[n == 4 for n in range(COUNT)])
    assert "t4" in ids(path(bench, explicit)) and "t4" not in ids(path(bench, explicit, is_explicit_wanted=False))
    germany = served(territories=[["DE"] if n == 4 else [] for n in range(COUNT)])
    assert "t4" in ids(path(bench, germany, territory="DE")) and "t4" not in ids(path(bench, germany))


def test_blocked_tracks_of_the_user_are_left_out_and_exposures_recorded(bench):
    bench.store.users["u"] = excluded(("track", "t4"), ("artist", "a2"))
    answer = path(bench, served(), user_id="u")
    assert not {"t4", "t2"} & set(ids(answer)) and len(answer.items) == 5
    assert bench.state.rows == [(answer.request_id, ids(answer))]
    path(bench, served())
    assert len(bench.state.rows) == 1


def test_ends_that_may_not_be_played_are_rejected(bench):
    bench.store.users["u"] = excluded(("track", "t8"))
    with pytest.raises(RequestRejected, match=r"to 't8' may not be played \(filter excluded_tracks\)"):
        path(bench, served(), user_id="u")
    recordings = ["x", *[None] * 7, "x"]
    with pytest.raises(RequestRejected, match="'t0' and to 't8' are releases of one recording"):
        path(bench, served(recording_id=recordings))


def test_unknown_tracks_and_missing_vectors_are_named(bench):
    with pytest.raises(UnknownTrack, match="track 'no' is not in release r1"):
        path(bench, served(), last="no")
    with pytest.raises(NoItemVectors, match="release r1 has no channel with item vectors; train realtime"):
        path(bench, served(ListChannel("popularity", [2])))
    with pytest.raises(NotReady, match="channel realtime did not respond"):
        path(bench, served(Quarter("realtime", [], is_failing=True)))
