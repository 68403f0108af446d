"""Similarity of a query to names, with typing errors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from rapidfuzz.distance import OSA

from training.search.text import is_chinese, normalize, tokens

MIN_TOKEN_SIMILARITY = 0.7
MIN_CORRECTED_LENGTH = 4
MINOR_WEIGHT = 0.2
MINOR_WORDS = frozenset({"the", "a", "an", "no", "feat", "ft", "live", "remix", "version", "remaster", "remastered", "edit"})
"""Words that names with the same meaning may lack."""


def name_similarity(query: Sequence[str], name: str) -> float:
    """Similarity of the tokens of a query to a name, 0..1.

    The share of the query that the name has counts fully, the share of the name that the query has counts half: a query
    may be the beginning of a name.
    """
    words = _name_tokens(name)
    if not query or not words:
        return 0.0
    in_query = [max((_token_similarity(token, word) for word in words), default=0.0) for token in query]
    in_name = [max((_token_similarity(word, token) for token in query), default=0.0) for word in words]
    return _weighted(query, in_query) * (0.5 + 0.5 * _weighted(words, in_name))


def _weighted(words: Sequence[str], similarities: Sequence[float]) -> float:
    weights = [MINOR_WEIGHT if word in MINOR_WORDS or word.isdigit() else 1.0 for word in words]
    return sum(weight * one for weight, one in zip(weights, similarities, strict=True)) / sum(weights)


def _token_similarity(first: str, second: str) -> float:
    if first == second:
        return 1.0
    if min(len(first), len(second)) < MIN_CORRECTED_LENGTH or is_chinese(first) or is_chinese(second):
        return 0.0
    return OSA.normalized_similarity(first, second, score_cutoff=MIN_TOKEN_SIMILARITY)


@lru_cache(maxsize=10_000)
def _name_tokens(name: str) -> tuple[str, ...]:
    return tuple(tokens(normalize(name)))
