"""N-gram rows against manual counting and a dense SVD."""

from __future__ import annotations

import unicodedata
from collections import Counter
from math import log

import numpy as np

from training.content.text_ngrams import NgramLSA, hash_ngrams, normalize_rows

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


def test_rows_equal_a_dense_svd_up_to_signs() -> None:
    for width in (2, 4, 64):
        found, expected = NgramLSA.fit(TEXTS, width).transform(TEXTS), dense_rows(TEXTS, width)
        assert found.shape == expected.shape
        signs = np.sign((found * expected).sum(axis=0))
        np.testing.assert_allclose(found, expected * signs, atol=1e-4)


def test_ngrams_equal_manual_counts() -> None:
    found = [Counter() for _ in TEXTS]
    for text_G, bucket_G in hash_ngrams(TEXTS):
        for text, bucket in zip(text_G.tolist(), bucket_G.tolist(), strict=True):
            found[text][bucket] += 1
    for text, buckets in zip(TEXTS, found, strict=True):
        assert sorted(buckets.values()) == sorted(counts(text).values())


def test_empty_texts_are_zeros_and_similar_spelling_gives_similar_rows() -> None:
    model = NgramLSA.fit(TEXTS, 4)
    row = model.transform([*TEXTS, "   "])
    assert not row[[4, 9]].any()
    assert row[0] @ row[1] > 0.9 > row[0] @ row[2]
    assert row[2] @ row[3] > row[2] @ row[7]


def test_batches_equal_single_calls() -> None:
    texts = [f"{TEXTS[number % len(TEXTS)]} {number}" for number in range(20_000)]
    model = NgramLSA.fit(TEXTS, 4)
    whole = model.transform(texts)
    for index in (0, 8_191, 8_192, 19_999):
        np.testing.assert_allclose(model.transform([texts[index]])[0], whole[index], atol=1e-6)


def test_texts_without_shared_ngrams_have_no_columns() -> None:
    for texts in ([], [""], ["one"], ["ab", "cd", "ef"]):
        assert NgramLSA.fit(texts, 8).transform(texts).shape == (len(texts), 0)
