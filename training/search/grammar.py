"""Words that are not about tracks, and opposites of facet values, from `grammar.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from training.search.concept import FacetValue
from training.search.text_normalization import normalize

GRAMMAR_FILE = Path(__file__).parent / "grammar.yaml"


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
GAP = "…"
"""Between the two words of a comparison."""


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
    content: dict[str, Any] = yaml.safe_load(GRAMMAR_FILE.read_text(encoding="utf-8"))
    return content
