"""The text encoder on texts of tracks and queries, in several languages, and on what is hardly text."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from content.encoders.text import MAX_FIELD_CHARACTERS, TextEncoder, TrackText


def encode(text_encoder: TextEncoder, *sources: TrackText | str) -> NDArray[np.float32]:
    vector_BD: NDArray[np.float32] = text_encoder.encode([text_encoder.load(source) for source in sources])
    assert np.isfinite(vector_BD).all()
    return vector_BD


def test_vectors_have_unit_length_and_empty_texts_are_zeros(text_encoder: TextEncoder) -> None:
    empty = ["", " \n\t\u3000", TrackText(), TrackText("", " ", "", ["", " "], [""])]
    vector_BD = encode(text_encoder, "rain", TrackText("Rain", "The Beatles"), *empty)
    np.testing.assert_allclose(np.linalg.norm(vector_BD, axis=1), [1, 1, 0, 0, 0, 0], atol=1e-5)


def test_each_field_counts(text_encoder: TextEncoder) -> None:
    plain = TrackText("Rain")
    others = [
        TrackText("Rain", artist="Adele"),
        TrackText("Rain", lyrics="I can't stand it any more"),
        TrackText("Rain", comments=["my wedding song"]),
        TrackText("Rain", tags=["techno"]),
    ]
    vector_BD = encode(text_encoder, plain, *others)
    assert (vector_BD[1:] @ vector_BD[0] < 0.95).all()


def test_long_lyrics_do_not_hide_the_title(text_encoder: TextEncoder) -> None:
    title, track, shortened = encode(
        text_encoder,
        "calm night",
        TrackText("calm night", lyrics="and the engine roars along the road " * 2_000),
        TrackText("calm night", lyrics=("and the engine roars along the road " * 2_000)[:MAX_FIELD_CHARACTERS]),
    )
    assert title @ track > 0.5
    np.testing.assert_allclose(track, shortened, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "❤️🎵👨‍👩‍👧‍👦",
        "a\ud800b",
        "\0\0",
        "\u202eabc\u200b",
        "x" * 1_000_000,
        "夜" * 100_000,
        "e" + "\u0301" * 5_000,
        "\U0010ffff",
        "▁▁",
        "<s></s><unk>",
    ],
    ids=["emoji", "surrogate", "nul", "invisible", "long", "long Chinese", "accents", "last", "separator", "markers"],
)
def test_hardly_text(text: str, text_encoder: TextEncoder) -> None:
    assert encode(text_encoder, text, TrackText(text, text, text, [text], [text])).shape == (2, 512)
