"""Concepts of a query, words that are not about tracks, and opposites of facet values, the latter from `grammar.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from recommender.search.text_normalization import normalize

FacetValue = tuple[str, str]
"""Facet and value, for instance `("emotions", "quiet")`."""
FULL_WEIGHT = 1.0
"""Weight of a value that a phrase names; values that it only suggests, or that are similar, have less."""
FACET_WEIGHTS = {"languages": 1.1, "styles": 1.05, "emotions": 0.95}
"""Weight of a matched value of each facet, 1 by default: if no track matches all values, facts count more than moods."""

GRAMMAR_FILE = Path(__file__).parent / "grammar.yaml"
GAP = "…"
"""Between the two words of a comparison."""


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


class Word(Enum):
    """Kinds of words that are not about tracks, by their section of `grammar.yaml`, and the ends of clauses."""

    STOP = "stop_words"
    NEGATION = "negations"
    AVERSION = "aversions"
    EXCEPTION = "exceptions"
    NEGATION_AFTER = "negations_after"
    AVERSION_AFTER = "aversions_after"
    EXCEPTION_AFTER = "exceptions_after"
    OPPOSITE = "opposites_of"
    CONTRAST = "contrasts"
    AND = "ands"
    OR = "ors"
    COMMA = "comma"
    PERIOD = "period"
    END = "end"


NEGATIONS = (Word.NEGATION, Word.AVERSION, Word.EXCEPTION)
AFTER = {
    Word.NEGATION_AFTER: Word.NEGATION,
    Word.AVERSION_AFTER: Word.AVERSION,
    Word.EXCEPTION_AFTER: Word.EXCEPTION,
}
"""Words after what they negate → the kind of negation."""


def words_of(kind: Word, languages: Iterable[str]) -> list[str]:
    """The words and phrases of a kind in these languages."""
    sections: Mapping[str, list[str]] = _grammar().get(kind.value, {})
    return [word for language in languages for word in sections.get(language, [])]


def words_of_comparisons(languages: Iterable[str]) -> list[str]:
    """The words of `comparisons` in these languages."""
    return list(dict.fromkeys(word for pair in _comparisons(languages) for word in pair))


@cache
def comparisons() -> Mapping[str, frozenset[str]]:
    """First word of a comparison → the words that may begin its second part, which is not wanted."""
    closers: dict[str, set[str]] = {}
    for first, second in _comparisons(_grammar()["comparisons"]):
        closers.setdefault(normalize(first), set()).add(normalize(second))
    return {first: frozenset(seconds) for first, seconds in closers.items()}


@cache
def affixes(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Patterns of whole words with what a word that has one stands for: "un(…)" → "not …"."""
    return tuple((re.compile(pattern), words) for pattern, words in _grammar()["affixes"].get(language, {}).items())


@cache
def symbols() -> dict[int, str]:
    """Symbol → the English word that it stands for, for `str.translate`."""
    pairs = _grammar()["symbols"].items()
    return {ord(symbol): f" {word} " for word, characters in pairs for symbol in characters if not symbol.isspace()}


@cache
def opposites() -> Mapping[FacetValue, tuple[FacetValue, ...]]:
    """Value of the emotions → the values that are its opposites."""
    pairs: list[list[str]] = _grammar()["opposites"]
    both = [*pairs, *(pair[::-1] for pair in pairs)]
    return {
        ("emotions", one): tuple(("emotions", other) for first, other in both if first == one)
        for one in dict.fromkeys(first for first, _ in both)
    }


def _comparisons(languages: Iterable[str]) -> list[list[str]]:
    sections: Mapping[str, list[str]] = _grammar()["comparisons"]
    return [[word.strip() for word in pair.split(GAP)] for one in languages for pair in sections.get(one, [])]


@cache
def _grammar() -> dict[str, Any]:
    return yaml.safe_load(GRAMMAR_FILE.read_text(encoding="utf-8"))
