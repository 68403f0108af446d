"""The similarity that text without meaning reaches.

Sentence embeddings of random letters are near to each other and to short names, in a large catalog as near as real queries
are. So a query is compared with random strings, too: a text that is not clearly nearer to it than these strings does not
match. COUNT and MARGIN were chosen on other random strings and on queries for topics in nine languages, over 20,000 real
titles.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from recommender.search.phrase_similarity import Encode

CONSONANTS = "bcdfghjklmnpqrstvwxz"
RANGES = ("az", "09", "αω", "ая", "את", "اي", "กฮ", "ぁん", "ァヺ", "一龥", "가힣")
"""First and last characters of alphabets."""
ALPHABETS: tuple[Sequence[str], ...] = (
    CONSONANTS,
    [consonant + vowel for consonant in CONSONANTS for vowel in "aeiou"],
    *([chr(code) for code in range(ord(ends[0]), ord(ends[1]) + 1)] for ends in RANGES),
)
COUNT, LENGTHS = 64, (2, 6)
"""Strings per alphabet, every second one of two words, and the lengths of a word in its elements."""
MARGIN, MIN_SIMILARITY = 0.05, 0.45


def similarity_floor(vector_D: NDArray[np.float32], encode: Encode) -> float:
    """Least cosine similarity of a text that has something in common with a query.

    Args:
        vector_D: Embedding of the query.
        encode: Its encoder.
    """
    return max(MIN_SIMILARITY, float((_noise(encode) @ vector_D).max()) + MARGIN)


@cache
def _noise(encode: Encode) -> NDArray[np.float32]:
    """Embeddings of random strings, the same in every process."""
    source = random.Random(0)
    return encode(
        [
            " ".join("".join(source.choices(alphabet, k=source.randint(*LENGTHS))) for _ in range(1 + number % 2))
            for alphabet in ALPHABETS
            for number in range(COUNT)
        ]
    )
