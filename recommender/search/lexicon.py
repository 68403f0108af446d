"""Finds the phrases of a query that stand for facet values, and the words of its grammar.

A query is read with the phrases of English and Chinese, and of each other language. The division with the fewest
tokens outside of phrases wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

import yaml
from rapidfuzz import process
from rapidfuzz.distance import OSA

from recommender.search.grammar import (
    FULL_WEIGHT,
    FacetValue,
    Word,
    affixes,
    symbols,
    words_of,
    words_of_comparisons,
)
from recommender.search.reading import Entry, Part, Reading, interpret, link_lists
from recommender.search.release_period import MARKS
from recommender.search.text_normalization import is_chinese, normalize, stems, tokens

PHRASES_FILE = Path(__file__).parent / "phrases.yaml"
LANGUAGES_FILE = Path(__file__).parent / "phrases_of_languages.yaml"
ALWAYS = ("en", "zh")
"""Languages of words that every query may have."""
SUGGESTING, ABSENT = "~", "!"
MARKED_WEIGHTS = {SUGGESTING: 0.5, ABSENT: -1.0}
"""Weights of marked phrases. ABSENT marks one for tracks without the value: "vocals" for tracks that are not instrumental."""
MIN_CORRECTED_LENGTH = 5
"""Shorter words with a typing error are too similar to other words."""

MIN_LENGTH_OF_TWO_ERRORS = 9
UNREAD_COST = 100  # of a token, in phrases
MIN_GAIN = 2
"""Tokens that a further language has to read in addition, unless it reads all: "die" in an English query is not German. One is
enough in a query with words of another alphabet.
"""
_CLAUSES = re.compile(rf"[|;:.!?。()]|([,、{MARKS}])")
_KATAKANA = re.compile("([ァ-ヺー]+)")
"""Half of a word in katakana is no phrase: バースデー is not バー."""

Phrase = tuple[str, ...]


@dataclass(frozen=True)
class FacetPhrase:
    """A phrase that stands for a facet value."""

    value: FacetValue
    text: str
    weight: float
    language: str = ""  # empty: of ALWAYS


@cache
def known_phrases() -> tuple[FacetPhrase, ...]:
    """The phrases of `phrases.yaml` and `phrases_of_languages.yaml`."""
    facets: dict[str, dict[str, dict[str, list[str]]]] = yaml.safe_load(PHRASES_FILE.read_text(encoding="utf-8"))
    others: dict[str, dict[str, list[str]]] = yaml.safe_load(LANGUAGES_FILE.read_text(encoding="utf-8"))
    return tuple(
        FacetPhrase(
            (facet, value), phrase.lstrip(SUGGESTING + ABSENT), MARKED_WEIGHTS.get(phrase[0], FULL_WEIGHT), language
        )
        for facet, values in facets.items()
        for value, phrases_of_value in values.items()
        for language, phrases in {
            "": [value, *(phrase for phrases in phrases_of_value.values() for phrase in phrases)],
            **{language: phrases.get(value, []) for language, phrases in others.items()},
        }.items()
        for phrase in dict.fromkeys(phrases)
    )


def phrases_of(values: Iterable[FacetValue]) -> list[FacetPhrase]:
    """The phrases of the given facet values; a value without phrases has its own name."""
    by_value: dict[FacetValue, list[FacetPhrase]] = {}
    for phrase in known_phrases():
        by_value.setdefault(phrase.value, []).append(phrase)
    return [phrase for value in values for phrase in by_value.get(value, [FacetPhrase(value, value[1], FULL_WEIGHT)])]


class _Dictionary:
    """Phrases and words of the grammar of ALWAYS, and of one further language if there is one."""

    def __init__(self, phrases: Sequence[FacetPhrase], language: str) -> None:
        self._language = language
        self._entries: dict[Phrase, Entry] = {}
        self._add_language(phrases, "")
        if language:
            self._add_language(phrases, language)
        self._longest = max(map(len, self._entries), default=1)
        self.words = {token for phrase in self._entries for token in phrase if not is_chinese(token)}
        self._corrections = sorted(
            key[0]
            for phrase in phrases
            if not phrase.language
            and len(key := _tokens(phrase.text)) == 1
            and len(key[0]) >= MIN_CORRECTED_LENGTH
            and not is_chinese(key[0])
        )

    def _add_language(self, phrases: Sequence[FacetPhrase], language: str) -> None:
        languages = (language,) if language else ALWAYS
        for kind in Word:
            compared = words_of_comparisons(languages) if kind == Word.STOP else []
            for word in (*compared, *words_of(kind, languages)):
                if not language or _tokens(word) not in self._entries:
                    self._add(word, kind, language)
        for phrase in phrases:
            if phrase.language == language:
                self._add(phrase.text, {phrase.value: phrase.weight}, language)

    def _add(self, text: str, entry: Entry, language: str) -> None:
        exact, *stemmed = _keys(text, language)
        # The stem of a phrase must not hide another word: "playful" is not "play".
        for key in (exact, *(stemmed if isinstance(entry, dict) else ())):
            present = self._entries.get(key)
            if not key or (key != exact and isinstance(present, Word)):
                continue
            if isinstance(entry, dict) and isinstance(present, dict):
                present |= {value: max(weight, present.get(value, weight)) for value, weight in entry.items()}
            else:
                self._entries[key] = dict(entry) if isinstance(entry, dict) else entry

    def divide(self, clause: str, correct: Callable[[str], str]) -> tuple[int, list[Part]]:
        """The division into phrases with the fewest tokens outside of phrases, and then the fewest phrases.

        Args:
            clause: A part of a normalized text.
            correct: Corrects a token that the dictionary does not have.

        Returns:
            Its cost and its parts.
        """
        pieces = enumerate(_KATAKANA.split(clause))  # those with odd numbers are in katakana
        words = [(one, piece) for piece, text in pieces for word in tokens(text) for one in self._split_affixes(word)]
        cost, parts = self._divide([word for word, _ in words], correct)
        entries = [entry for part, entry in parts for _ in part]
        cut = {piece for (_, piece), entry in zip(words, entries, strict=True) if entry is None and piece % 2}
        if cut:
            whole: list[str] = []
            for piece, group in groupby(words, lambda word: word[1]):
                members = [word for word, _ in group]
                whole += ["".join(members)] if piece in cut else members
            return self._divide(whole, correct)
        return cost, parts

    def _divide(self, words: list[str], correct: Callable[[str], str]) -> tuple[int, list[Part]]:
        corrected = [word if self._has_word(word) else correct(word) for word in words]
        forms = [corrected, stems(corrected), *([stems(corrected, self._language)] if self._language else [])]
        # Of the best division of the first tokens: cost, and start and entry of the last part.
        best: list[tuple[int, int, Entry | None]] = [(0, 0, None)]
        for end in range(1, len(words) + 1):
            options: list[tuple[int, int, Entry | None]] = [(best[end - 1][0] + UNREAD_COST, end - 1, None)]
            for start in range(max(0, end - self._longest), end):
                for number, form in enumerate(forms):
                    key = tuple(form[start:end])
                    entry = self._entries.get(key)
                    if isinstance(entry, dict) or (entry is not None and number < 2):  # English stems may be any word
                        options.append((best[start][0] + 1, start, entry))
                        break
            best.append(min(options, key=lambda option: option[0]))
        parts: list[Part] = []
        end = len(words)
        while end:
            _, start, entry = best[end]
            parts.append(([one for word in words[start:end] for one in tokens(word)], entry))
            end = start
        return best[-1][0], parts[::-1]

    def _has_word(self, word: str) -> bool:
        return any(one in self.words for one in (word, *stems([word]), *stems([word], self._language)))

    def _split_affixes(self, word: str) -> list[str]:
        """ "unromantic" as "not romantic", "재즈도" as "재즈 도" if all parts are known; other words as they are."""
        if word not in self.words:
            for pattern, replacement in affixes(self._language):
                if found := pattern.fullmatch(word):
                    parts = found.expand(replacement).split()
                    if all(map(self._is_entry, parts)):
                        return parts
        return [word]

    def _is_entry(self, word: str) -> bool:
        forms = word, *(stems([word], self._language) if self._language else ())
        return any((form,) in self._entries for form in forms)

    def correct(self, word: str) -> str:
        """The phrase word that `word` is a misspelling of, else `word`."""
        if len(word) < MIN_CORRECTED_LENGTH or not word.isascii() or not word.isalpha():
            return word
        errors = 1 if len(word) < MIN_LENGTH_OF_TWO_ERRORS else 2
        best = process.extractOne(word, self._corrections, scorer=OSA.distance, score_cutoff=errors)
        return best[0] if best and best[0][0] == word[0] else word


class Lexicon:
    """Phrases of facet values, and the grammar.

    Args:
        phrases: Phrases of the values that the catalog has.
    """

    def __init__(self, phrases: Sequence[FacetPhrase]) -> None:
        languages = dict.fromkeys(["", *(phrase.language for phrase in phrases)])
        self._dictionaries = [_Dictionary(phrases, language) for language in languages]

    def read(self, normalized: str, is_name_word: Callable[[str], bool] = lambda _: False) -> Reading:
        """Concepts and unread tokens of a normalized query.

        Args:
            normalized: The query.
            is_name_word: Whether a token occurs in names of the catalog; such tokens are not corrected.
        """
        # Every second part is the comma or the period of release between two clauses, or nothing after another mark.
        clauses = _CLAUSES.split(normalized.translate(symbols()))
        correct = cache(lambda word: word if is_name_word(word) else self._dictionaries[0].correct(word))
        readings: list[tuple[int, list[list[Part]]]] = []
        min_gain = MIN_GAIN if normalized.isascii() else 1
        for dictionary in self._dictionaries:
            divided = [dictionary.divide(clause, correct) for clause in clauses[::2]]
            cost = sum(one for one, _ in divided)
            unread = cost // UNREAD_COST
            if not readings or not unread or readings[0][0] // UNREAD_COST - unread >= min_gain:
                readings.append((cost, [parts for _, parts in divided]))
            if not readings[0][0] // UNREAD_COST:
                break
        best = min(readings, key=lambda one: one[0])[1]
        kinds = {None: Word.END, ",": Word.COMMA, "、": Word.AND}
        ends: list[Part] = [([mark or ""], kinds.get(mark, Word.PERIOD)) for mark in (*clauses[1::2], None)]
        parts = [part for parts, end in zip(best, ends, strict=True) for part in (*parts, end)]
        return interpret(link_lists(parts))

    def __contains__(self, word: object) -> bool:
        """Whether a word is part of an English phrase or a word of the grammar, written without errors."""
        return word in self._dictionaries[0].words


@cache
def _keys(text: str, language: str) -> tuple[Phrase, ...]:
    """The tokens of a phrase, and their stems if these differ."""
    exact = _tokens(text)
    return tuple(dict.fromkeys((exact, tuple(stems(list(exact), language)))))


@cache
def _tokens(text: str) -> Phrase:
    return tuple(tokens(normalize(text)))
