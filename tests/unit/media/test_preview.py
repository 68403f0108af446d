"""Previews are deterministic, and differ in what the description says."""

from __future__ import annotations

import numpy as np
import pytest

from ingestion.simulation import facets
from media.instruments import RATE
from media.preview import LANGUAGES, SECONDS, render_preview
from media.style_table import EMOTIONS, STYLES
from tests.support.media_descriptions import described


def test_every_facet_of_the_simulation_has_a_sound() -> None:
    assert set(facets.STYLES) == set(STYLES)
    assert set(facets.EMOTIONS) == set(EMOTIONS)
    assert set(facets.LANGUAGES) == set(LANGUAGES)


@pytest.mark.parametrize("emotion", ["quiet", "excited"])
@pytest.mark.parametrize("style", STYLES)
def test_previews_are_audible_and_do_not_clip(style: str, emotion: str) -> None:
    sample_S = render_preview(described(style=style, emotions=(emotion,)))
    assert sample_S.shape == (SECONDS * RATE,) and sample_S.dtype == np.float32
    assert np.isfinite(sample_S).all() and np.abs(sample_S).max() < 1
    assert np.sqrt(np.square(sample_S.reshape(SECONDS, RATE)).mean(1)).min() > 0.005  # no second is silent


def test_previews_do_not_depend_on_what_was_rendered_before() -> None:
    first = render_preview(described())
    render_preview(described(artist="a2", style="metal"))
    np.testing.assert_array_equal(render_preview(described()), first)
    np.testing.assert_array_equal(render_preview(described(title="other", album="l2")), first)
