"""Words that are not about tracks, and opposites of facet values, from `grammar.yaml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from training.search.concept import FacetValue

GRAMMAR_FILE = Path(__file__).parent / "grammar.yaml"


class Word(Enum):
    """Kinds of words that are not about tracks, by their section of `grammar.yaml`, and the ends of clauses."""

    STOP = "stop_words"
    NEGATION = "negations"
    NEGATION_AFTER = "negations_after"
    OPPOSITE = "opposites_of"
    CONTRAST = "contrasts"
    AND = "ands"
    OR = "ors"
    COMMA = "comma"
    PERIOD = "period"
    END = "end"


NEGATIONS = (Word.NEGATION, Word.NEGATION_AFTER, Word.OPPOSITE)


def words_of(kind: Word, languages: Iterable[str]) -> list[str]:
    """The words and phrases of a kind in these languages."""
    sections: Mapping[str, list[str]] = _grammar().get(kind.value, {})
    return [word for language in languages for word in sections.get(language, [])]


@cache
def opposites() -> Mapping[FacetValue, tuple[FacetValue, ...]]:
    """Value of the emotions → the values that are its opposites."""
    pairs: list[list[str]] = _grammar()["opposites"]
    both = [*pairs, *(pair[::-1] for pair in pairs)]
    return {
        ("emotions", one): tuple(("emotions", other) for first, other in both if first == one)
        for one in dict.fromkeys(first for first, _ in both)
    }


@cache
def _grammar() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(GRAMMAR_FILE.read_text(encoding="utf-8"))
    return content
