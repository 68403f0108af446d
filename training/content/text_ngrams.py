"""Text embeddings: character n-grams, TF-IDF, truncated SVD (latent semantic analysis).

Character n-grams need neither a dictionary nor word boundaries, so titles of any language and script are similar if
they share spelling. Deerwester et al., "Indexing by Latent Semantic Analysis" (JASIS 1990); TF-IDF as in scikit-learn
(smooth idf, unit rows). Differences: n-grams are hashed into HASH_BUCKETS; the SVD is fitted on a bounded sample of the
texts; coordinates are divided by the singular values, so that all directions have equal weight in the projection that
is learned on top.

Legend: N texts, G n-grams of all texts, P (text, n-gram) pairs, F features, W width.
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
MAX_FEATURES = 1 << 15  # the n-grams with the highest document frequency are used
MIN_DOCUMENT_FREQUENCY = 2  # rarer n-grams do not relate texts to each other
SAMPLE_TEXTS, SAMPLE_CHARACTERS = 30_000, 2_000_000
TEXT_BATCH_SIZE = 8_192
MIN_SINGULAR_RATIO = 1e-6

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class NgramLSA:
    """A fitted latent semantic analysis."""

    feature_of_bucket: NDArray[np.int32]  # -1: no feature
    basis_FW: Floats  # what one occurrence of a feature adds to a row

    @classmethod
    def fit(cls, texts: Sequence[str], width: int) -> Self:
        """Fit on a sample of the texts with a fixed seed; `width` columns, fewer if the texts have a lower rank."""
        nonempty = [text for text in texts if text]
        mean = sum(map(len, nonempty)) / max(len(nonempty), 1)
        count = min(len(nonempty), SAMPLE_TEXTS, int(SAMPLE_CHARACTERS / max(mean, 1)) + 1)
        sample = np.sort(np.random.default_rng(0).permutation(len(nonempty))[:count])
        grams = [
            text_G * HASH_BUCKETS + bucket_G for text_G, bucket_G in hash_ngrams([nonempty[index] for index in sample])
        ]
        pair, times = np.unique(np.concatenate(grams), return_counts=True)
        text_P, bucket_P = np.divmod(pair, HASH_BUCKETS)
        document_frequency = np.bincount(bucket_P, minlength=HASH_BUCKETS)
        by_frequency = np.argsort(-document_frequency, kind="stable")
        buckets = np.sort(by_frequency[: min(MAX_FEATURES, int((document_frequency >= MIN_DOCUMENT_FREQUENCY).sum()))])
        feature_of_bucket = np.full(HASH_BUCKETS, -1, dtype=np.int32)
        feature_of_bucket[buckets] = np.arange(len(buckets))
        idf_F = np.log((1 + count) / (1 + document_frequency[buckets])) + 1
        feature_P = feature_of_bucket[bucket_P]
        has = feature_P >= 0
        weight = times[has] * idf_F[feature_P[has]]
        matrix_NF = sparse.csr_array((weight, (text_P[has], feature_P[has])), shape=(count, len(buckets)))
        return cls(
            feature_of_bucket, (_whitened_singular_vectors(matrix_NF, width) * idf_F[:, None]).astype(np.float32)
        )

    def transform(self, texts: Sequence[str]) -> Floats:
        """Unit row of each text [N, W]; zeros for a text without a known n-gram."""
        row_NW = np.zeros((len(texts), self.basis_FW.shape[1]), dtype=np.float32)
        for start in range(0, len(texts), TEXT_BATCH_SIZE):
            batch = texts[start : start + TEXT_BATCH_SIZE]
            for text_G, bucket_G in hash_ngrams(batch):
                feature_G = self.feature_of_bucket[bucket_G]
                has = feature_G >= 0
                offset = np.concatenate([[0], np.bincount(text_G[has], minlength=len(batch)).cumsum()])
                # Repeated n-grams are repeated entries, which the product adds up to their count.
                ones = np.ones(offset[-1], dtype=np.float32)
                shape = (len(batch), len(self.basis_FW))
                count_NF = sparse.csr_array((ones, feature_G[has], offset.astype(np.int32)), shape=shape)
                row_NW[start : start + len(batch)] += count_NF @ self.basis_FW
        return normalize_rows(row_NW)


def hash_ngrams(texts: Sequence[str]) -> Iterator[tuple[Ints, Ints]]:
    """For each of NGRAM_SIZES, the text index and the hash bucket of every n-gram, in the order of the texts.

    Texts are normalized (NFKC, case folding, single spaces) and padded with a space on both sides, so that word
    beginnings and ends are distinguished.
    """
    folded = [" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in texts]
    folded = [f" {text} " if text else "" for text in folded]
    character_G = np.frombuffer("".join(folded).encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    length_N = np.array([len(text) for text in folded], dtype=np.int64)
    text_G = np.repeat(np.arange(len(folded)), length_N)
    code_G = character_G
    for size in range(2, max(NGRAM_SIZES) + 1):
        # Three characters of 21 bits each fit into 64 bits, so equal codes are equal n-grams.
        code_G = (code_G[:-1] << np.uint64(21)) | character_G[size - 1 :]
        is_whole = text_G[: len(code_G)] == text_G[size - 1 :]
        if size in NGRAM_SIZES:
            yield text_G[: len(code_G)][is_whole], _hash_bucket(code_G[is_whole])


def normalize_rows(row_NW: Floats) -> Floats:
    """Rows scaled to unit length; zero rows stay zero."""
    length_N1 = np.linalg.norm(row_NW, axis=1, keepdims=True)
    unit_NW: Floats = np.divide(row_NW, length_N1, out=np.zeros_like(row_NW), where=length_N1 > 1e-9)
    return unit_NW


def _hash_bucket(gram_G: NDArray[np.uint64]) -> Ints:
    # Multiplicative hashing: the upper bits of a product with an odd constant are well mixed.
    mixed: Ints = ((gram_G * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(44)).astype(np.int64)
    return mixed


def _whitened_singular_vectors(matrix_NF: sparse.csr_array, width: int) -> NDArray[np.float64]:
    """Right singular vectors of the matrix with unit rows, each divided by its singular value, [F, W]."""
    length_N = np.sqrt(matrix_NF.multiply(matrix_NF).sum(axis=1))
    scaled = sparse.diags_array(1 / np.maximum(length_N, 1e-12)) @ matrix_NF
    rank = min(width, *scaled.shape)
    if not rank or not scaled.nnz:
        return np.zeros((scaled.shape[1], 0))
    if scaled.shape[1] == 1:  # scikit-learn requires two columns
        return np.array([[1 / np.sqrt(scaled.multiply(scaled).sum())]])
    from sklearn.decomposition import TruncatedSVD  # takes seconds to import and is only needed for fitting

    # scikit-learn also divides by the variance of the rows, which is 0 for equal texts; that result is not used.
    with np.errstate(invalid="ignore"):
        svd = TruncatedSVD(rank, n_iter=4, random_state=0).fit(scaled)
    is_kept = svd.singular_values_ > MIN_SINGULAR_RATIO * svd.singular_values_.max()
    directions: NDArray[np.float64] = (svd.components_[is_kept] / svd.singular_values_[is_kept, None]).T
    return directions
