"""N-gram rows against manual counting and a dense SVD."""

from __future__ import annotations

import unicodedata
from collections import Counter
from math import log

import numpy as np
import pytest

from content import track_content
from content.track_content import embed_ngrams, normalize_rows

TEXTS = [
    "Blue Train",
    "blue trains",
    "夜曲 周杰伦",
    "夜的第七章 周杰伦",
    "",
    "Ｔｒａｉｎ  song",
    "?",
    "night train",
    "晚安 周",
]


def counts(text: str) -> Counter[str]:
    """Counts of all character bigrams and trigrams of the normalized text padded with spaces."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    padded = f" {folded} " if folded else ""
    return Counter(padded[at : at + size] for size in (2, 3) for at in range(len(padded) - size + 1))


def dense_rows(texts: list[str], width: int) -> np.ndarray:
    """Dense TF-IDF and SVD: unit rows in the singular directions."""
    documents = [counts(text) for text in texts if text]
    frequency = Counter(gram for document in documents for gram in document)
    grams = sorted(gram for gram, count in frequency.items() if count >= 2)
    idf = np.array([log((1 + len(documents)) / (1 + frequency[gram])) + 1 for gram in grams])
    weight = {text: np.array([counts(text)[gram] for gram in grams]) * idf for text in texts}
    scaled = normalize_rows(np.array([weight[text] for text in texts if text]))
    _, singular, directions = np.linalg.svd(scaled, full_matrices=False)
    basis = (
        directions[:width][singular[:width] > 1e-6 * singular[0]].T
        / singular[:width][singular[:width] > 1e-6 * singular[0]]
    )
    return normalize_rows(np.array([weight[text] for text in texts]) @ basis)


@pytest.mark.parametrize("width", [2, 4, 64])
def test_rows_equal_a_dense_svd_up_to_signs(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(track_content, "TEXT_BATCH_SIZE", 4)
    found, expected = embed_ngrams(TEXTS, width), dense_rows(TEXTS, width)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected * np.sign((found * expected).sum(axis=0)), atol=1e-4)
