"""Facet values by the meaning of a phrase: the nearest known phrases in the space of the sentence encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from recommender.array_types import Floats
from recommender.search.grammar import Concept, FacetValue, opposites
from recommender.search.lexicon import FacetPhrase

MIN_SIMILARITY = 0.5
"""Cosine similarity below which phrases have nothing in common. Chosen on the development queries."""
MAX_GAP = 0.08
"""Largest difference to the most similar value for other values of the same concept."""
MAX_VALUES = 3
MIN_CERTAIN_SIMILARITY = 0.65
AGREEING_PHRASES = 3
"""A text is understood if so many nearest phrases have a value in common: words without any meaning are near to some phrase,
but the next ones mean something else."""

Encode = Callable[[Sequence[str]], Floats]


class MeaningMatcher:
    """Facet phrases as unit vectors.

    Args:
        phrases: P phrases.
        vector_PD: Their embeddings.
        encode: Embeds texts with the same encoder.
    """

    def __init__(self, phrases: Sequence[FacetPhrase], vector_PD: Floats, encode: Encode) -> None:
        self._encode, self._vector_PD = encode, vector_PD
        self._texts = [phrase.text for phrase in phrases]
        self._values: list[FacetValue] = list(dict.fromkeys(phrase.value for phrase in phrases))
        number = {value: place for place, value in enumerate(self._values)}
        self._value_P = np.array([number[phrase.value] for phrase in phrases], dtype=np.int64)
        self._weight_P = np.array([phrase.weight for phrase in phrases], dtype=np.float32)

    def match(self, texts: Sequence[str]) -> list[tuple[Concept, bool]]:
        """The concept of each text that has one, and whether it is certain; a text is nearer to a value than to its opposites."""
        if not texts or not self._values:
            return []
        similarity_BP = self._encode(texts) @ self._vector_PD.T * self._weight_P
        concepts = []
        for text, similarity_P in zip(texts, similarity_BP, strict=True):
            best_U = np.full(len(self._values), -1.0, dtype=np.float32)
            np.maximum.at(best_U, self._value_P, similarity_P)
            order = np.argsort(-best_U)[:MAX_VALUES]
            top = float(best_U[order[0]])
            if top >= MIN_SIMILARITY:
                near = {
                    self._values[value]: float(best_U[value])
                    for value in order.tolist()
                    if best_U[value] >= max(top - MAX_GAP, MIN_SIMILARITY)
                }
                nearest = {
                    value: weight
                    for value, weight in near.items()
                    if weight >= max((near.get(other, 0.0) for other in opposites().get(value, ())), default=0.0)
                }
                concepts.append((Concept(nearest, text), top >= MIN_CERTAIN_SIMILARITY and self._agree(similarity_P)))
        return concepts

    def _agree(self, similarity_P: Floats) -> bool:
        """Whether the nearest phrases have a value in common."""
        values: dict[str, set[int]] = {}
        for place in np.argsort(-similarity_P, kind="stable").tolist():
            if similarity_P[place] < MIN_SIMILARITY or len(values) > AGREEING_PHRASES:
                break
            values.setdefault(self._texts[place], set()).add(int(self._value_P[place]))
        return bool(set.intersection(*list(values.values())[:AGREEING_PHRASES]))
