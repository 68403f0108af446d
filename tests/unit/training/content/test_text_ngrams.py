"""N-gram rows against counting by hand and a dense SVD."""

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
    """Every run of two or three characters, of the folded text between spaces."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    padded = f" {folded} " if folded else ""
    return Counter(padded[at : at + size] for size in (2, 3) for at in range(len(padded) - size + 1))


def dense_rows(texts: list[str], width: int) -> np.ndarray:
    """TF-IDF and SVD in full: the left singular vectors, rows of length 1."""
    known = [counts(text) for text in texts if text]
    texts_of = Counter(gram for one in known for gram in one)
    kept = sorted(gram for gram, count in texts_of.items() if count >= 2)
    idf = np.array([log((1 + len(known)) / (1 + texts_of[gram])) + 1 for gram in kept])
    weight = {text: np.array([counts(text)[gram] for gram in kept]) * idf for text in texts}
    scaled = normalize_rows(np.array([weight[text] for text in texts if text]))
    _, singular, directions = np.linalg.svd(scaled, full_matrices=False)
    some = (
        directions[:width][singular[:width] > 1e-6 * singular[0]].T
        / singular[:width][singular[:width] > 1e-6 * singular[0]]
    )
    return normalize_rows(np.array([weight[text] for text in texts]) @ some)


def test_rows_are_those_of_a_dense_svd_up_to_the_sign_of_a_direction() -> None:
    for width in (2, 4, 64):
        found, expected = NgramLSA.fit(TEXTS, width).transform(TEXTS), dense_rows(TEXTS, width)
        assert found.shape == expected.shape
        signs = np.sign((found * expected).sum(axis=0))
        np.testing.assert_allclose(found, expected * signs, atol=1e-4)


def test_ngrams_are_those_of_counting_by_hand() -> None:
    found = [Counter() for _ in TEXTS]
    for text_G, bucket_G in hash_ngrams(TEXTS):
        for text, bucket in zip(text_G.tolist(), bucket_G.tolist(), strict=True):
            found[text][bucket] += 1
    for text, buckets in zip(TEXTS, found, strict=True):
        assert sorted(buckets.values()) == sorted(counts(text).values())


def test_no_text_has_no_row_and_likeness_is_spelling() -> None:
    space = NgramLSA.fit(TEXTS, 4)
    row = space.transform([*TEXTS, "   "])
    assert not row[[4, 9]].any()
    assert row[0] @ row[1] > 0.9 > row[0] @ row[2]
    assert row[2] @ row[3] > row[2] @ row[7]


def test_pieces_give_what_one_call_gives() -> None:
    texts = [f"{TEXTS[number % len(TEXTS)]} {number}" for number in range(20_000)]
    space = NgramLSA.fit(TEXTS, 4)
    whole = space.transform(texts)
    for place in (0, 8_191, 8_192, 19_999):
        np.testing.assert_allclose(space.transform([texts[place]])[0], whole[place], atol=1e-6)


def test_texts_that_share_nothing_span_nothing() -> None:
    for texts in ([], [""], ["one"], ["ab", "cd", "ef"]):
        assert NgramLSA.fit(texts, 8).transform(texts).shape == (len(texts), 0)
