"""Covers are deterministic, and differ in what the description says."""

from __future__ import annotations

import numpy as np
import pytest

from media.cover import LETTERING, render_cover
from media.style_table import STYLES
from tests.support.media_descriptions import described


def pixels(**changes: object) -> np.ndarray:
    return np.asarray(render_cover(described(**changes)), np.int16)


def test_covers_do_not_depend_on_what_was_drawn_before() -> None:
    first = pixels()
    pixels(artist="a2", style="metal")
    np.testing.assert_array_equal(pixels(), first)
    np.testing.assert_array_equal(pixels(recording="r2"), first)


@pytest.mark.parametrize(
    "change",
    [*({"style": one} for one in STYLES), *({"language": one} for one in LETTERING), {"emotions": ("sad",)}],
)
def test_every_kind_of_cover_is_drawn(change: dict[str, object]) -> None:
    assert pixels(**change).std() > 10
