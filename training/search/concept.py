"""Concepts of a query: the facet values that its words stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FacetValue = tuple[str, str]
"""Facet and value, for instance `("emotions", "quiet")`."""
FULL_WEIGHT = 1.0
"""Weight of a value that a phrase names; values that it only suggests, or that are similar, have less."""
FACET_WEIGHTS = {"languages": 1.1, "styles": 1.05, "emotions": 0.95}
"""Weight of a matched value of each facet, 1 by default: if no track matches all values, facts count more than moods."""


@dataclass(frozen=True)
class Concept:
    """Facet values that one phrase of a query stands for; a track matches if it has one of them."""

    weights: Mapping[FacetValue, float]  # 0..1; how well the value fits the phrase
    words: str  # the phrase

    @property
    def named(self) -> frozenset[FacetValue]:
        """The values that the phrase names."""
        return frozenset(value for value, weight in self.weights.items() if weight >= FULL_WEIGHT)

    def scaled(self, factor: float) -> Concept:
        """The concept with all weights times a factor."""
        return Concept({value: factor * weight for value, weight in self.weights.items()}, self.words)
