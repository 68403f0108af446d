"""Covers are deterministic, and differ in what the description says."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from media.cover import LETTERING, SIZE, render_cover
from media.style_table import STYLES
from tests.support.media_descriptions import described


def pixels(**changes: object) -> np.ndarray:
    return np.asarray(render_cover(described(**changes)), np.int16)


def test_every_style_has_a_look_of_its_own() -> None:
    covers = {style: pixels(style=style) for style in STYLES}
    for cover in covers.values():
        assert cover.shape == (SIZE, SIZE, 3) and cover.std() > 10
    for one, other in combinations(covers, 2):
        assert np.abs(covers[one] - covers[other]).mean() > 8, (one, other)


def test_covers_do_not_depend_on_what_was_drawn_before() -> None:
    first = pixels()
    pixels(artist="a2", style="metal")
    np.testing.assert_array_equal(pixels(), first)
    np.testing.assert_array_equal(pixels(recording="r2"), first)


@pytest.mark.parametrize(
    "change",
    [
        *({"language": language} for language in LETTERING if language != "Western"),
        {"artist": "a2"},
        {"album": "l4"},
        {"emotions": ("sad",)},
        {"seed": 8},
        {"title": "Golden Engine"},
    ],
)
def test_every_facet_is_visible(change: dict[str, object]) -> None:
    assert (np.abs(pixels() - pixels(**change)) > 16).mean() > 0.005
