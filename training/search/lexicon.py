"""Finds the phrases of a query that stand for facet values, by the longest match over its tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rapidfuzz import process
from rapidfuzz.distance import OSA

from training.search.concept import Concept, FacetValue
from training.search.text_normalization import is_chinese, join, normalize, stems, tokens

PHRASES_FILE = Path(__file__).parent / "phrases.yaml"
STOP_WORDS_FILE = Path(__file__).parent / "stop_words.yaml"
SUGGESTING = "~"
SUGGESTING_WEIGHT = 0.5
MIN_CORRECTED_LENGTH = 5
"""Shorter words with a typing error are too similar to other words."""

MIN_LENGTH_OF_TWO_ERRORS = 9
UNREAD_COST = 100  # of a token, in phrases
STOP, NEGATION = "stop word", "negation"
_CLAUSE_END = re.compile(r"[|,;:.!?、。()]")

Phrase = tuple[str, ...]
_Entry = dict[FacetValue, float] | str


@dataclass(frozen=True)
class FacetPhrase:
    """A phrase that stands for a facet value."""

    value: FacetValue
    text: str
    weight: float


@dataclass(frozen=True)
class Reading:
    """Result of `Lexicon.read`."""

    concepts: list[Concept]
    unread: list[list[str]] = field(default_factory=list)
    """Runs of adjacent tokens that are neither part of a phrase nor stop words."""
    content: list[str] = field(default_factory=list)
    """All tokens but stop words and negations, in order."""


@cache
def known_phrases() -> tuple[FacetPhrase, ...]:
    """The phrases of `phrases.yaml`."""
    facets: dict[str, dict[str, dict[str, list[str]]]] = yaml.safe_load(PHRASES_FILE.read_text(encoding="utf-8"))
    return tuple(
        FacetPhrase((facet, value), phrase.lstrip(SUGGESTING), _weight(phrase))
        for facet, values in facets.items()
        for value, languages in values.items()
        for phrase in dict.fromkeys([value, *(phrase for phrases in languages.values() for phrase in phrases)])
    )


def phrases_of(values: Iterable[FacetValue]) -> list[FacetPhrase]:
    """The phrases of the given facet values; a value without phrases has its own name."""
    by_value: dict[FacetValue, list[FacetPhrase]] = {}
    for phrase in known_phrases():
        by_value.setdefault(phrase.value, []).append(phrase)
    return [phrase for value in values for phrase in by_value.get(value, [FacetPhrase(value, value[1], 1.0)])]


def _weight(phrase: str) -> float:
    return SUGGESTING_WEIGHT if phrase.startswith(SUGGESTING) else 1.0


class Lexicon:
    """Phrases of facet values, and stop words.

    Args:
        phrases: Phrases of the values that the catalog has.
    """

    def __init__(self, phrases: Sequence[FacetPhrase]) -> None:
        words: dict[str, Any] = yaml.safe_load(STOP_WORDS_FILE.read_text(encoding="utf-8"))
        self._entries: dict[Phrase, _Entry] = {}
        for kind, entry in (("stop_words", STOP), ("negations", NEGATION)):
            for word in (word for words_of in words[kind].values() for word in words_of):
                self._add(word, entry)
        for phrase in phrases:
            self._add(phrase.text, {phrase.value: phrase.weight})
        self._longest = max(map(len, self._entries), default=1)
        self._words = {token for phrase in self._entries for token in phrase if not is_chinese(token)}
        self._corrections = sorted(
            key[0]
            for phrase in phrases
            if len(key := _tokens(phrase.text)) == 1 and len(key[0]) >= MIN_CORRECTED_LENGTH and not is_chinese(key[0])
        )

    def _add(self, text: str, entry: _Entry) -> None:
        exact = _tokens(text)
        # The stem of a phrase must not hide another word: "playful" is not "play".
        keys = (exact, tuple(stems(list(exact)))) if isinstance(entry, dict) else (exact,)
        for key in dict.fromkeys(keys):
            present = self._entries.get(key)
            if not key or (key != exact and present is not None and not isinstance(present, dict)):
                continue
            if isinstance(entry, dict) and isinstance(present, dict):
                present |= {value: max(weight, present.get(value, 0.0)) for value, weight in entry.items()}
            else:
                self._entries[key] = dict(entry) if isinstance(entry, dict) else entry

    def read(self, normalized: str, is_name_word: Callable[[str], bool] = lambda _: False) -> Reading:
        """Concepts and unread tokens of a normalized query.

        Args:
            normalized: The query.
            is_name_word: Whether a token occurs in names of the catalog; such tokens are not corrected.
        """
        concepts: list[Concept] = []
        unread: list[list[str]] = [[]]
        content: list[str] = []
        for clause in _CLAUSE_END.split(normalized):
            is_negated = False
            for words, entry in self._segment(tokens(clause), is_name_word):
                if isinstance(entry, dict):
                    concepts.append(Concept(entry, join(words), is_negated))
                if entry is None:
                    unread[-1] += words
                elif unread[-1]:
                    unread.append([])
                if entry not in (STOP, NEGATION):
                    content += words
                is_negated = entry == NEGATION or (is_negated and entry == STOP)
            if unread[-1]:
                unread.append([])
        return Reading(_merge(concepts), [run for run in unread if run], content)

    def __contains__(self, word: object) -> bool:
        """Whether a word is part of a phrase, a stop word or a negation, written without errors."""
        return word in self._words

    def _segment(self, words: list[str], is_name_word: Callable[[str], bool]) -> list[tuple[list[str], _Entry | None]]:
        """The division into phrases with the fewest tokens outside of phrases, and then the fewest phrases."""
        corrected = [self._correct(word, is_name_word) for word in words]
        stemmed = stems(corrected)
        best: list[tuple[int, int, _Entry | None]] = [(0, 0, None)]  # cost, start of the last part, its entry
        for end in range(1, len(words) + 1):
            options: list[tuple[int, int, _Entry | None]] = [(best[end - 1][0] + UNREAD_COST, end - 1, None)]
            for start in range(max(0, end - self._longest), end):
                entry = self._entries.get(tuple(corrected[start:end])) or self._entries.get(tuple(stemmed[start:end]))
                if entry is not None:
                    options.append((best[start][0] + 1, start, entry))
            best.append(min(options, key=lambda option: option[0]))
        parts: list[tuple[list[str], _Entry | None]] = []
        end = len(words)
        while end:
            _, start, entry = best[end]
            parts.append((words[start:end], entry))
            end = start
        return parts[::-1]

    def _correct(self, word: str, is_name_word: Callable[[str], bool]) -> str:
        """The phrase word that `word` is a misspelling of, else `word`."""
        if len(word) < MIN_CORRECTED_LENGTH or not word.isascii() or not word.isalpha():
            return word
        if word in self._words or stems([word])[0] in self._words or is_name_word(word):
            return word
        errors = 1 if len(word) < MIN_LENGTH_OF_TWO_ERRORS else 2
        best = process.extractOne(word, self._corrections, scorer=OSA.distance, score_cutoff=errors)
        return best[0] if best and best[0][0] == word[0] else word


def _merge(concepts: Sequence[Concept]) -> list[Concept]:
    """Concepts with a common value become one, so that synonyms do not count twice."""
    merged: list[Concept] = []
    for concept in concepts:
        for number, other in enumerate(merged):
            if other.is_excluded == concept.is_excluded and other.weights.keys() & concept.weights.keys():
                weights = {
                    value: max(other.weights.get(value, 0.0), concept.weights.get(value, 0.0))
                    for value in dict.fromkeys([*other.weights, *concept.weights])
                }
                merged[number] = replace(other, weights=weights, words=f"{other.words}, {concept.words}")
                break
        else:
            merged.append(concept)
    return merged


@cache
def _tokens(text: str) -> Phrase:
    return tuple(tokens(normalize(text)))
