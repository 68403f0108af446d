"""What a query wants and what it does not want, by the order of its phrases and the words of its grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from recommender.search.grammar import AFTER, FULL_WEIGHT, NEGATIONS, Concept, FacetValue, Word, comparisons, opposites
from recommender.search.release_period import FIRST_MARK
from recommender.search.text_normalization import join

MAX_WORDS_BETWEEN = 2
"""Unknown words between a negation and what it negates: "no boring old jazz"."""

Entry = dict[FacetValue, float] | Word
Part = tuple[list[str], Entry | None]
"""Tokens of a query and their entry; None: unknown tokens."""
Negation = frozenset[Word]
"""Kinds of negation that are about something. Two kinds cancel each other ("not" and "dislike"), two words of a kind do not."""
NONE: Negation = frozenset()


@dataclass(frozen=True)
class Reading:
    """Result of `Lexicon.read`."""

    wanted: list[Concept] = field(default_factory=list)
    unwanted: list[Concept] = field(default_factory=list)
    unread: list[list[str]] = field(default_factory=list)
    """Runs of adjacent tokens that are neither part of a phrase nor words of the grammar."""
    refused: list[list[str]] = field(default_factory=list)
    """The same with a negation, and phrases that cannot be negated because they only suggest something."""
    content: list[str] = field(default_factory=list)
    """All tokens but negated ones and words of the grammar, in order."""
    refused_periods: list[int] = field(default_factory=list)
    """Numbers of the periods of release with a negation."""


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
    """A phrase, a run of unknown words or a period of release, and the negations that are about it."""

    words: list[str]
    negation: Negation
    weights: Mapping[FacetValue, float] = field(default_factory=dict)  # negative: of values that a track must not have
    period: int | None = None
    has_opposite: bool = False  # the opposite is asked for

    @property
    def is_negated(self) -> bool:
        """Whether a word refuses it."""
        return len(self.negation) % 2 == 1

    @property
    def is_unwanted(self) -> bool:
        """Whether its values are not wanted: "rap" in "no rap", "instrumental" in "with vocals"."""
        return self.is_negated != any(weight < 0 for weight in self.weights.values())

    @property
    def concept(self) -> Concept:
        """What it stands for."""
        return Concept({value: abs(weight) for value, weight in self.weights.items()}, join(self.words))

    @property
    def facets(self) -> set[str]:
        """Facets of its values."""
        return {facet for facet, _ in self.weights}


class _Interpreter:
    """Reads the parts of a query in order.

    A negation is about the next phrase, and about those that are linked to it by "or", or by "and" if they have the same
    facet and are not opposites. A negation that follows is about the phrases just before that are linked to each other.
    """

    def __init__(self) -> None:
        self.found: list[_Found] = []
        self._group: list[_Found] = []  # just before, linked to each other
        self._is_closed = False  # nothing further is linked to them: a negation followed
        self._run: _Found | None = None  # the unknown words just before
        self._link: Word | None = None
        self._end_clause()

    def _end_clause(self) -> None:
        self._group, self._is_closed = [], False
        self._closers: frozenset[str] = frozenset()  # words that begin the second part of a comparison
        self._end_negation()

    def _end_negation(self) -> None:
        self._negation, self._link, self._between = NONE, None, 0
        self._compared: set[str] | None = None  # in a comparison: facets that the negation must be about
        self._has_opposite = False

    def read(self, words: list[str], entry: Entry | None) -> None:
        """Read the next part."""
        if entry is None:
            self._read_unknown(words)
            return
        self._run = None
        if isinstance(entry, dict):
            one = _Found(words, NONE, entry, has_opposite=self._has_opposite)
            if self._compared is not None and self._compared.isdisjoint(one.facets):
                self._end_negation()
            one.negation = self._negation or _shared_negation(self._group, self._link, one)
            self._add(one)
            self._end_negation()
        elif entry == Word.PERIOD:
            self._link = None
            self._add(_Found([], self._negation, period=ord(words[0]) - FIRST_MARK))
            self._end_negation()
        else:
            self._read_grammar(join(words), entry)

    def _read_grammar(self, text: str, entry: Word) -> None:
        if text in self._closers and self._group:
            self._negation, self._compared = frozenset({Word.EXCEPTION}), self._group[-1].facets
        self._closers = comparisons().get(text, self._closers)
        if entry in (Word.AND, Word.OR):
            self._link = None if self._is_closed else entry
        elif entry in NEGATIONS:
            self._negation |= {entry}
            self._link, self._between = None, 0
        elif entry == Word.OPPOSITE:
            self._negation, self._link, self._between, self._has_opposite = frozenset({Word.NEGATION}), None, 0, True
        elif entry in AFTER:
            self._negate_group({AFTER[entry]})
        elif entry in (Word.COMMA, Word.END):
            if self._compared is None:
                self._negate_group(self._negation)
            self._end_clause()
        elif entry == Word.CONTRAST:
            self._end_clause()

    def _read_unknown(self, words: list[str]) -> None:
        if self._run:
            self._run.words += words
        else:
            self._link = None
            self._run = _Found(list(words), self._negation)
            self._add(self._run)
        self._between += len(words)
        if self._between > MAX_WORDS_BETWEEN:
            self._end_negation()

    def _add(self, one: _Found) -> None:
        self._group, self._is_closed = [*self._group, one] if self._link else [one], False
        self.found.append(one)

    def _negate_group(self, negation: Negation | set[Word]) -> None:
        for one in self._group:
            one.negation |= negation
        self._is_closed = True
        self._end_negation()


def interpret(parts: Sequence[Part]) -> Reading:
    """What the parts of a query want and what they do not want."""
    interpreter = _Interpreter()
    for words, entry in parts:
        interpreter.read(words, entry)
    found = interpreter.found
    phrases = [one for one in found if one.weights and (not one.is_unwanted or one.concept.named)]
    unread = [one for one in found if one.period is None and one not in phrases]
    implied = [
        Concept(values, one.concept.words)
        for one in phrases
        if one.has_opposite
        and (values := {other: FULL_WEIGHT for value in one.weights for other in opposites().get(value, ())})
    ]
    wanted, unwanted = _resolve(
        [*implied, *(one.concept for one in phrases if not one.is_unwanted)],
        [one.concept for one in phrases if one.is_unwanted],
    )
    return Reading(
        wanted,
        unwanted,
        unread=[one.words for one in unread if not one.is_negated],
        refused=[one.words for one in unread if one.is_negated],
        content=[word for one in found if not (one.is_unwanted or one.is_negated) for word in one.words],
        refused_periods=[one.period for one in found if one.period is not None and one.is_negated],
    )


def _shared_negation(group: Sequence[_Found], link: Word | None, one: _Found) -> Negation:
    """The negation of the phrase before, if it is about this one, too."""
    if not group or link is None:
        return NONE
    before = group[-1]
    is_opposite = any(other in one.weights for value in before.weights for other in opposites().get(value, ()))
    has_its_facet = not before.facets.isdisjoint(one.facets)
    return before.negation if link == Word.OR or (has_its_facet and not is_opposite) else NONE


def _resolve(wanted: Sequence[Concept], unwanted: Sequence[Concept]) -> tuple[list[Concept], list[Concept]]:
    """Merged concepts without contradictions: unwanted values are removed from wanted concepts, unless such a concept has no
    other values.
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
