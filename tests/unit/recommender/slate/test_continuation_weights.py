"""Weights of the sources of playlist continuation."""

import numpy as np
import pytest

from recommender.catalog.arrays import Ragged
from recommender.slate.continuation_weights import Continuation
from recommender.slate.fusion import ReciprocalRank
from tests.support.training.playlist_source import PlaylistSource
from training.evaluation.continuation_tuning import PlaylistCases, fit_range


def cases(count=4, title=""):
    ends = np.arange(count + 1)
    return PlaylistCases(Ragged(np.full(count, 2), ends), [title] * count, Ragged(np.full(count, 9), ends))


RIGHT = [*range(50, 75), 9]
"""The target is among the first 30 of this source, and not of both sources together."""
SOURCES = {
    "right": PlaylistSource("right", RIGHT),
    "wrong": PlaylistSource("wrong", range(100, 140)),
    "title": PlaylistSource("title", [8], True),
}


def test_fitted_weights_prefer_the_source_that_finds_the_targets():
    found = cases().recall(SOURCES, 50)
    assert {name: one.shape for name, one in found.items()} == dict.fromkeys(SOURCES, (4, 50))
    weights = fit_range(found, cases())
    fused = Continuation({"1": weights}).fuse(found, cases().seeds)
    assert (fused.items(30) == 9).any(1).all() and fused.found_by()[0] == ["right"]
    # Without weights for this range, all sources count the same.
    assert not (Continuation({"10": weights}).fuse(found, cases().seeds).items(30) == 9).any()
    assert fit_range({}, cases()) == ReciprocalRank()


@pytest.mark.parametrize("weights", [{}, {"1": ReciprocalRank({"right": 1.0})}])
def test_a_title_has_a_share_of_the_weight_of_the_seeds(weights):
    found = cases(title="x").recall({"right": SOURCES["right"], "title_words": SOURCES["title"]}, 50)
    assert Continuation(weights).fuse(found, cases().seeds).items(27)[0].tolist() == [*RIGHT, 8]
    no_seeds = Ragged(np.zeros(0, dtype=np.int64), np.zeros(5, dtype=np.int64))
    assert Continuation(weights).fuse(found, no_seeds).item_C[0] == 8
