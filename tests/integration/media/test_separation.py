"""`make acceptance`: the encoders find in simulated media what they were rendered from: nearest neighbors share style, artist and mood."""

from __future__ import annotations

import pytest

from research.simulated_media import embed, measure, sample_tracks
from tests.support.tiers import acceptance_only

TRACKS = 100
pytestmark = acceptance_only


@pytest.fixture(scope="module", params=["audio", "image"])
def found(request: pytest.FixtureRequest):
    tracks = sample_tracks(TRACKS, seed=7)
    embedding_BD, _ = embed(request.param, tracks)
    return request.param, measure(embedding_BD, tracks)


def test_nearest_neighbors_of_other_artists_have_the_same_style_and_language(found) -> None:
    modality, facets = found
    assert facets["style"].nearest > 5 * facets["style"].chance, (modality, facets)
    assert facets["language"].nearest > 1.5 * facets["language"].chance, (modality, facets)


def test_nearest_neighbors_have_the_same_artist(found) -> None:
    modality, facets = found
    assert facets["artist"].nearest > 8 * facets["artist"].chance, (modality, facets)


def test_nearest_neighbors_have_the_same_mood(found) -> None:
    modality, facets = found
    assert facets["energy"].nearest > facets["energy"].chance + (0.08 if modality == "audio" else 0), (modality, facets)
