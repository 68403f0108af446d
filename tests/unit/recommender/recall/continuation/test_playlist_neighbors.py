"""Item-kNN over playlists, compared with the cosine of dense vectors of playlists."""

import numpy as np
import pytest

from recommender.recall.continuation import source as sources
from recommender.recall.continuation.source import PlaylistNeighbors
from tests.support.training.recall_cases import ragged

V, P = 30, 12


@pytest.mark.parametrize("seeds", [[5], [9, 4, 11], []])
def test_scores_equal_those_of_dense_vectors(seeds):
    generator = np.random.default_rng(3)
    tracks = ragged(*(generator.choice(np.arange(2, V), generator.integers(1, 9), replace=False) for _ in range(P)))
    is_servable_V = np.arange(V) % 7 != 3
    weight_PV = np.zeros((P, V))
    weight_PV[tracks.case_per_item, tracks.items] = 1
    scale_V = 1 / np.sqrt(np.maximum(weight_PV.sum(0), 1e-9))
    similarity_VV = scale_V[:, None] * (weight_PV.T @ (weight_PV / tracks.count_C[:, None])) * scale_V
    score_V = similarity_VV[seeds].sum(0) * is_servable_V
    score_V[seeds] = 0
    expected = sorted(np.flatnonzero(score_V > 1e-12), key=lambda item: (-round(score_V[item], 9), item))[:8]
    found = PlaylistNeighbors(tracks, is_servable_V).continue_playlist(np.array(seeds, dtype=np.int64), "", 8)[0]
    items = found[found > 0]
    np.testing.assert_allclose(score_V[items], score_V[expected], rtol=1e-5)
    assert set(items.tolist()).isdisjoint(seeds) and is_servable_V[items].all()
    assert len(items) == len(expected)


def test_playlists_with_the_most_seeds_are_read_first(monkeypatch):
    monkeypatch.setattr(sources, "MAX_PLAYLISTS", 1)
    source = PlaylistNeighbors(ragged([2, 3, 4], [2, 5], [3, 6]), np.ones(V, dtype=bool))
    assert source.continue_playlist(np.array([2, 3]), "", 4)[0].tolist() == [4, 0, 0, 0]
