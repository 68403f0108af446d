"""Covers and previews are deterministic, and differ in what the description says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ingestion.simulation import facets
from media.cover import LETTERING, render_cover
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


@pytest.mark.parametrize(
    "change",
    [*({"style": one} for one in STYLES), *({"language": one} for one in LETTERING), {"emotions": ("sad",)}],
)
def test_every_kind_of_cover_is_drawn(change: dict[str, object]) -> None:
    assert np.asarray(render_cover(described(**change)), np.int16).std() > 10


@pytest.mark.parametrize(
    ("render", "unused"), [(render_cover, {"recording": "r2"}), (render_preview, {"title": "other", "album": "l2"})]
)
def test_media_do_not_depend_on_what_was_rendered_before(render: Callable[..., Any], unused: dict[str, str]) -> None:
    first = np.asarray(render(described()))
    render(described(artist="a2", style="metal"))
    np.testing.assert_array_equal(np.asarray(render(described())), first)
    np.testing.assert_array_equal(np.asarray(render(described(**unused))), first)
