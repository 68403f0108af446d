"""Covers are deterministic, and differ in what the description says."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from media.cover import LETTERING, SIZE, choose_look, encode_jpeg, render_cover
from media.cover_shapes import SHAPES
from media.cover_textures import TEXTURES
from media.style_table import STYLES
from tests.support.media_descriptions import described


def pixels(**changes: object) -> np.ndarray:
    return np.asarray(render_cover(described(**changes)), np.int16)


def test_styles_name_what_exists() -> None:
    assert {style.look.shape for style in STYLES.values()} <= set(SHAPES)
    assert {style.look.texture for style in STYLES.values()} <= set(TEXTURES)


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


def test_some_albums_have_another_look_than_their_style() -> None:
    usual = (STYLES["pop"].look.shape, STYLES["pop"].look.texture, True)
    is_usual = [choose_look(described(album=f"l{number}")) == usual for number in range(200)]
    assert 0.2 < np.mean(is_usual) < 0.5


def test_unknown_facets_are_errors() -> None:
    for change, name in (
        ({"style": "polka"}, "STYLES"),
        ({"emotions": ("bored",)}, "EMOTIONS"),
        ({"language": "Latin"}, "LETTERING"),
    ):
        with pytest.raises(ValueError, match=name):
            render_cover(described(**change))


def test_jpeg_files_have_the_drawing() -> None:
    cover = render_cover(described())
    with Image.open(io.BytesIO(encode_jpeg(cover))) as read:
        assert read.format == "JPEG"
        assert np.abs(np.asarray(read, np.int16) - np.asarray(cover, np.int16)).mean() < 8
