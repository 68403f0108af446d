"""What a query wants and what it does not want, by the order of its phrases and the words of its grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from training.search.concept import FULL_WEIGHT, Concept, FacetValue
from training.search.grammar import Word, opposites
from training.search.release_period import FIRST_MARK
from training.search.text_normalization import join

MAX_WORDS_BETWEEN = 2
"""Unknown words between a negation and what it negates: "no boring old jazz"."""

Entry = dict[FacetValue, float] | Word
Part = tuple[list[str], Entry | None]
"""Tokens of a query and their entry; None: unknown tokens."""


@dataclass(frozen=True)
class Reading:
    """Result of `Lexicon.read`."""

    wanted: list[Concept] = field(default_factory=list)
    unwanted: list[Concept] = field(default_factory=list)
    unread: list[list[str]] = field(default_factory=list)
    """Runs of adjacent tokens that are neither part of a phrase nor words of the grammar."""
    refused: list[list[str]] = field(default_factory=list)
    """The same after a negation."""
    content: list[str] = field(default_factory=list)
    """All tokens but negated ones and words of the grammar, in order."""
    refused_periods: list[int] = field(default_factory=list)
    """Numbers of the periods of release after a negation."""


def link_lists(parts: Sequence[Part]) -> list[Part]:
    """The parts with AND instead of the commas of a list that ends with "or": "no jazz, rap or metal"."""
    linked: list[Part] = []
    is_list = False
    for words, entry in reversed(parts):
        if entry == Word.OR:
            is_list = True
        elif entry not in (Word.COMMA, Word.STOP) and not isinstance(entry, dict):
            is_list = False
        linked.append((words, Word.AND if is_list and entry == Word.COMMA else entry))
    return linked[::-1]


@dataclass
class _Found:
    """A concept, and whether it is negated."""

    concept: Concept
    is_negated: bool


def interpret(parts: Sequence[Part]) -> Reading:
    """What the parts of a query want and what they do not want.

    A negation is about the next concept, and about those that are linked to it by "or", or by "and" if they have the same
    facet and are not opposites.
    """
    found: list[_Found] = []
    implied: list[Concept] = []
    group: list[_Found] = []  # the concepts just before, linked to each other
    unread: list[list[str]] = []
    refused: list[list[str]] = []
    refused_periods: list[int] = []
    content: list[tuple[list[str], _Found | None]] = []
    negation: Word | None = None
    link: Word | None = None
    between = 0  # unknown words since the negation
    run: list[str] = []  # unknown words just before
    for words, entry in parts:
        if isinstance(entry, dict):
            one = _Found(Concept(entry, join(words)), negation is not None or _is_negation_shared(group, link, entry))
            if negation == Word.OPPOSITE:
                values = dict.fromkeys((other for value in entry for other in opposites().get(value, ())), FULL_WEIGHT)
                implied += [Concept(values, one.concept.words)] if values else []
            group = [*group, one] if link else [one]
            found.append(one)
            content.append((words, one))
            negation = link = None
        elif entry is None:
            if not run:
                run = []
                (unread if negation is None else refused).append(run)
            run += words
            if negation is None:
                content.append((words, None))
            between += len(words)
            negation = negation if between <= MAX_WORDS_BETWEEN else None
            group, link = [], None
            continue
        elif entry in (Word.AND, Word.OR):
            link = entry
        elif entry in (Word.NEGATION, Word.OPPOSITE):
            negation, link, between = entry, None, 0
        elif entry == Word.PERIOD and negation:
            refused_periods.append(ord(words[0]) - FIRST_MARK)
        elif entry == Word.NEGATION_AFTER or (negation and entry in (Word.COMMA, Word.END)):
            for one in group:
                one.is_negated = True
            negation, group = None, []
        if entry in (Word.CONTRAST, Word.COMMA, Word.PERIOD, Word.END):
            negation, link, group = None, None, []
        run = []
    wanted, unwanted = _resolve(
        [*implied, *(one.concept for one in found if not one.is_negated)],
        [one.concept for one in found if one.is_negated],
    )
    kept = [word for words, one in content if one is None or not one.is_negated for word in words]
    return Reading(wanted, unwanted, unread, refused, kept, refused_periods)


def _is_negation_shared(group: Sequence[_Found], link: Word | None, entry: Mapping[FacetValue, float]) -> bool:
    """Whether the negation of the concept before is about this one, too."""
    if not group or not group[-1].is_negated or link is None:
        return False
    before = group[-1].concept.weights
    is_opposite = any(other in entry for value in before for other in opposites().get(value, ()))
    has_its_facet = not {facet for facet, _ in before}.isdisjoint(facet for facet, _ in entry)
    return link == Word.OR or (has_its_facet and not is_opposite)


def _resolve(wanted: Sequence[Concept], unwanted: Sequence[Concept]) -> tuple[list[Concept], list[Concept]]:
    """Merged concepts that do not contradict each other: values are not wanted but for those of another concept that has
    no other values.
    """
    refused = {value for concept in unwanted for value in concept.named}
    refused -= {value for concept in wanted if refused.issuperset(concept.weights) for value in concept.weights}
    return _merge(wanted, lambda value: value not in refused), _merge(unwanted, refused.__contains__)


def _merge(concepts: Sequence[Concept], is_kept: Callable[[FacetValue], bool]) -> list[Concept]:
    """Concepts of the kept values. Those with a common value become one, so that synonyms do not count twice."""
    merged: list[Concept] = []
    for concept in concepts:
        weights = {value: weight for value, weight in concept.weights.items() if is_kept(value)}
        for number, other in enumerate(merged):
            if other.weights.keys() & weights.keys():
                weights = {
                    value: max(other.weights.get(value, 0.0), weights.get(value, 0.0))
                    for value in dict.fromkeys([*other.weights, *weights])
                }
                merged[number] = Concept(weights, f"{other.words}, {concept.words}")
                break
        else:
            merged += [replace(concept, weights=weights)] if weights else []
    return merged
