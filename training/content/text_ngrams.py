"""Texts as dense rows: character n-grams ▸ TF-IDF ▸ truncated SVD (latent semantic analysis).

Character n-grams need no dictionary and no word boundaries, so that titles of every language and script are alike where
they share spelling. Deerwester et al., "Indexing by Latent Semantic Analysis" (JASIS 1990); TF-IDF as in scikit-learn
(smooth idf, rows of length 1). Different from both: n-grams are told apart by a hash into BUCKETS; the SVD is learned
on a bounded sample of the texts; and a row's coordinates are divided by the singular values, so that every direction
counts alike for the projection that is learned on top. Legend: N texts, G n-grams of all of them, F features, W width.
Knows nothing about tracks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

NGRAM_SIZES = (2, 3)
HASH_BUCKETS = 1 << 20
MAX_FEATURES = 1 << 15
"""At most so many n-grams, those of the most texts."""
MIN_DOCUMENT_FREQUENCY = 2
"""An n-gram of fewer texts relates none to another."""
SAMPLE_TEXTS, SAMPLE_CHARACTERS = 30_000, 2_000_000
TEXT_BATCH_SIZE = 8_192
MIN_SINGULAR_RATIO = 1e-6

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class NgramLSA:
    """What texts were learned as: the feature of each bucket (-1 none) and what an n-gram of it adds to a row, [F, W]."""

    feature_of_bucket: NDArray[np.int32]
    basis_FW: Floats

    @classmethod
    def fit(cls, texts: Sequence[str], width: int) -> Self:
        """Learned from a sample of the texts that is the same every time; fewer columns than `width` where the texts
        span fewer.
        """
        known = [text for text in texts if text]
        mean = sum(map(len, known)) / max(len(known), 1)
        count = min(len(known), SAMPLE_TEXTS, int(SAMPLE_CHARACTERS / max(mean, 1)) + 1)
        drawn = np.sort(np.random.default_rng(0).permutation(len(known))[:count])
        grams = [
            text_G * HASH_BUCKETS + bucket_G for text_G, bucket_G in hash_ngrams([known[place] for place in drawn])
        ]
        pair, times = np.unique(np.concatenate(grams), return_counts=True)
        text_P, bucket_P = np.divmod(pair, HASH_BUCKETS)
        texts_of_bucket = np.bincount(bucket_P, minlength=HASH_BUCKETS)
        by_texts = np.argsort(-texts_of_bucket, kind="stable")
        kept = np.sort(by_texts[: min(MAX_FEATURES, int((texts_of_bucket >= MIN_DOCUMENT_FREQUENCY).sum()))])
        feature_of_bucket = np.full(HASH_BUCKETS, -1, dtype=np.int32)
        feature_of_bucket[kept] = np.arange(len(kept))
        idf_F = np.log((1 + count) / (1 + texts_of_bucket[kept])) + 1
        feature_P = feature_of_bucket[bucket_P]
        has = feature_P >= 0
        weight = times[has] * idf_F[feature_P[has]]
        matrix_NF = sparse.csr_array((weight, (text_P[has], feature_P[has])), shape=(count, len(kept)))
        return cls(
            feature_of_bucket, (_whitened_singular_vectors(matrix_NF, width) * idf_F[:, None]).astype(np.float32)
        )

    def transform(self, texts: Sequence[str]) -> Floats:
        """A row of length 1 for each text, [N, W]; zeros for one without a known n-gram."""
        row_NW = np.zeros((len(texts), self.basis_FW.shape[1]), dtype=np.float32)
        for start in range(0, len(texts), TEXT_BATCH_SIZE):
            some = texts[start : start + TEXT_BATCH_SIZE]
            for text_G, bucket_G in hash_ngrams(some):
                feature_G = self.feature_of_bucket[bucket_G]
                has = feature_G >= 0
                offset = np.concatenate([[0], np.bincount(text_G[has], minlength=len(some)).cumsum()])
                # An n-gram that comes again stands here again: the sum of its rows is its count times its row.
                ones = np.ones(offset[-1], dtype=np.float32)
                shape = (len(some), len(self.basis_FW))
                times_NF = sparse.csr_array((ones, feature_G[has], offset.astype(np.int32)), shape=shape)
                row_NW[start : start + len(some)] += times_NF @ self.basis_FW
        return normalize_rows(row_NW)


def hash_ngrams(texts: Sequence[str]) -> Iterator[tuple[Ints, Ints]]:
    """For each of SIZES the text and the bucket of every n-gram, in the order of the texts.

    Texts are folded (NFKC, no case, single spaces) and have a space before and after, so that beginnings and ends count.
    """
    folded = [" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in texts]
    folded = [f" {text} " if text else "" for text in folded]
    character_G = np.frombuffer("".join(folded).encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    length_N = np.array([len(text) for text in folded], dtype=np.int64)
    text_G = np.repeat(np.arange(len(folded)), length_N)
    code_G = character_G
    for size in range(2, max(NGRAM_SIZES) + 1):
        # Three characters of 21 bits fit into 63, so that equal codes are equal n-grams.
        code_G = (code_G[:-1] << np.uint64(21)) | character_G[size - 1 :]
        is_whole = text_G[: len(code_G)] == text_G[size - 1 :]
        if size in NGRAM_SIZES:
            yield text_G[: len(code_G)][is_whole], _hash_bucket(code_G[is_whole])


def normalize_rows(row_NW: Floats) -> Floats:
    """Rows of length 1; zeros stay."""
    length_N1 = np.linalg.norm(row_NW, axis=1, keepdims=True)
    unit_NW: Floats = np.divide(row_NW, length_N1, out=np.zeros_like(row_NW), where=length_N1 > 1e-9)
    return unit_NW


def _hash_bucket(gram_G: NDArray[np.uint64]) -> Ints:
    # Multiplicative hashing: the upper bits of a product with an odd constant are well mixed.
    mixed: Ints = ((gram_G * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(44)).astype(np.int64)
    return mixed


def _whitened_singular_vectors(matrix_NF: sparse.csr_array, width: int) -> NDArray[np.float64]:
    """The right singular vectors of rows of length 1, each divided by its singular value, [F, W]."""
    length_N = np.sqrt(matrix_NF.multiply(matrix_NF).sum(axis=1))
    scaled = sparse.diags_array(1 / np.maximum(length_N, 1e-12)) @ matrix_NF
    rank = min(width, *scaled.shape)
    if not rank or not scaled.nnz:
        return np.zeros((scaled.shape[1], 0))
    from sklearn.decomposition import TruncatedSVD  # takes seconds to import, and a service learns nothing

    # It divides by the variance of the rows as well, which equal texts have none of; what comes of it is not used.
    with np.errstate(invalid="ignore"):
        svd = TruncatedSVD(rank, n_iter=4, random_state=0).fit(scaled)
    is_kept = svd.singular_values_ > MIN_SINGULAR_RATIO * svd.singular_values_.max()
    directions: NDArray[np.float64] = (svd.components_[is_kept] / svd.singular_values_[is_kept, None]).T
    return directions
