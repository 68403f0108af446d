"""Concepts of a query: the facet values that its words stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FacetValue = tuple[str, str]
"""Facet and value, for instance `("emotions", "quiet")`."""


@dataclass(frozen=True)
class Concept:
    """Facet values that one phrase of a query stands for; a track matches if it has one of them."""

    weights: Mapping[FacetValue, float]  # 0..1; how well the value fits the phrase
    words: str  # the phrase
    is_excluded: bool = False  # "without", "not": matching tracks are not wanted
