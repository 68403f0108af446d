"""Text embeddings: character n-grams, TF-IDF, truncated SVD (latent semantic analysis).

Character n-grams need neither a dictionary nor word boundaries, so titles of any language and script are similar if
they share spelling. Deerwester et al., "Indexing by Latent Semantic Analysis" (JASIS 1990). Differences: both are fitted on a
bounded sample of the texts; coordinates are divided by the singular values, so that all directions have equal weight in the
projection that is learned on top.

Legend: N texts, F features, W width.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NGRAM_SIZES = (2, 3)
MAX_FEATURES = 1 << 15  # the most frequent n-grams are used
MIN_DOCUMENT_FREQUENCY = 2  # rarer n-grams do not relate texts to each other
SAMPLE_TEXTS, SAMPLE_CHARACTERS = 30_000, 2_000_000
TEXT_BATCH_SIZE = 8_192
MIN_SINGULAR_RATIO = 1e-6

Floats = NDArray[np.float32]


def embed_ngrams(texts: Sequence[str], width: int) -> Floats:
    """Unit row of each text [N, W], zeros for a text without a known n-gram; fewer columns if the texts have a lower rank."""
    # Imported here: they take seconds, and only fits of models need them.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    nonempty = [text for text in texts if text]
    mean = sum(map(len, nonempty)) / max(len(nonempty), 1)
    count = min(len(nonempty), SAMPLE_TEXTS, int(SAMPLE_CHARACTERS / max(mean, 1)) + 1)
    sample = np.sort(np.random.default_rng(0).permutation(len(nonempty))[:count])
    vectorizer = TfidfVectorizer(
        preprocessor=_fold,
        analyzer="char",
        ngram_range=NGRAM_SIZES,
        min_df=MIN_DOCUMENT_FREQUENCY,
        max_features=MAX_FEATURES,
        dtype=np.float32,
    )
    try:
        matrix_NF = vectorizer.fit_transform([nonempty[index] for index in sample])
    except ValueError:  # no n-gram is in two texts
        return np.zeros((len(texts), 0), dtype=np.float32)
    _, singular_W, direction_WF = randomized_svd(matrix_NF, min(width, *matrix_NF.shape), n_iter=4, random_state=0)
    is_kept_W = singular_W > MIN_SINGULAR_RATIO * singular_W.max()
    basis_FW = (direction_WF[is_kept_W] / singular_W[is_kept_W, None]).T
    batches = (texts[start : start + TEXT_BATCH_SIZE] for start in range(0, len(texts), TEXT_BATCH_SIZE))
    return normalize_rows(np.concatenate([vectorizer.transform(batch) @ basis_FW for batch in batches]))


def normalize_rows(row_NW: Floats) -> Floats:
    """Rows scaled to unit length; zero rows stay zero."""
    length_N1 = np.linalg.norm(row_NW, axis=1, keepdims=True)
    return np.divide(row_NW, length_N1, out=np.zeros_like(row_NW), where=length_N1 > 1e-9)


def _fold(text: str) -> str:
    """The text with NFKC, case folding and single spaces, and a space on both sides, so that beginnings of words differ."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return f" {folded} " if folded else ""
