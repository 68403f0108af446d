"""Covers are deterministic, and differ in what the description says."""

from __future__ import annotations

import numpy as np

from media.cover import render_cover
from tests.support.media_descriptions import described


def pixels(**changes: object) -> np.ndarray:
    return np.asarray(render_cover(described(**changes)), np.int16)


def test_covers_do_not_depend_on_what_was_drawn_before() -> None:
    first = pixels()
    pixels(artist="a2", style="metal")
    np.testing.assert_array_equal(pixels(), first)
    np.testing.assert_array_equal(pixels(recording="r2"), first)
