"""Similar items, compared with slow oracles: all pairs of item vectors, and all walks of a small graph."""

import numpy as np
import pytest

from recommender.recall.continuation.registry import channel_sources
from recommender.recall.multi_interest.channel import MultiInterest
from recommender.recall.realtime import Realtime
from training.recipes import config_of
from training.train import fit_channel

K = 5


@pytest.fixture(scope="module")
def channels(data, tmp_path_factory):
    """A fitted channel of each kind that searches by vector; tests do not change them."""
    return {
        kind: fit_channel(kind, data, config_of(kind, "debug"), tmp_path_factory.mktemp(kind.__name__))
        for kind in (Realtime, MultiInterest)
    }


@pytest.mark.parametrize("items", [[2], [30], [2, 7, 30]])
@pytest.mark.parametrize("kind", [Realtime, MultiInterest])
def test_similar_items_are_nearest_to_the_mean_vector(kind, items, data, channels):
    channel, seeds = channels[kind], np.array(items)
    vector_VD = channel.item_vectors(range(len(data.vocabulary)))
    score_V = vector_VD @ vector_VD[seeds].mean(0)
    expected = sorted(set(channel.catalog.tolist()) - set(seeds.tolist()), key=lambda item: -score_V[item])[:K]
    np.testing.assert_allclose(score_V[channel.similar_items(seeds, K)[0]], score_V[expected], atol=1e-5)


def test_content_neighbors_are_nearest_by_content_also_without_plays(described_data, channels, tmp_path):
    channel = fit_channel(Realtime, described_data, config_of(Realtime, "debug"), tmp_path)
    row_VW = described_data.content.row_VW * described_data.content.has_descriptive_content_V[:, None].astype(
        np.float32
    )
    row_VW /= np.maximum(np.linalg.norm(row_VW, axis=1, keepdims=True), 1e-9)
    seeds = np.flatnonzero(row_VW.any(axis=1))[[1, 4]]
    mean_W = row_VW[seeds].sum(0)
    cosine_V = row_VW @ mean_W / np.linalg.norm(mean_W)
    others = [item for item in channel.catalog.tolist() if row_VW[item].any() and item not in seeds]
    source = channel_sources({"realtime": channel})["content"]
    expected = sorted((float(cosine_V[item]) for item in others), reverse=True)[:K]
    np.testing.assert_allclose(cosine_V[source.continue_playlist(seeds, "", K)[0]], expected, atol=1e-3)
    everything = source.continue_playlist(seeds, "", len(others))[0]
    assert set(everything.tolist()) == set(others) and channel.item_codes("is_cold_V")[everything].any()
    assert not source.continue_playlist(np.flatnonzero(~row_VW.any(axis=1) & described_data.catalog_V)[:1], "", K).any()
    assert "content" not in channel_sources({"realtime": channels[Realtime]})
