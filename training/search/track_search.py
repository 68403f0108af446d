"""Search of tracks: reads a query, collects candidates from the index, and ranks them.

    query → periods → phrases of facet values → names with typing errors → meaning of what is left → ranking

A query that is the name of a track, artist or album finds that; otherwise the tracks that match most parts of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from training.search.concept import Concept, FacetValue
from training.search.full_text_index import ALSO, Document, Hit, TrackIndex
from training.search.lexicon import FacetPhrase, Lexicon, Reading
from training.search.named_tracks import NamedTrack, find_named_tracks
from training.search.phrase_similarity import Encode, MeaningMatcher
from training.search.release_period import Period, read_periods
from training.search.text_normalization import is_chinese, join, normalize, tokens
from training.search.text_vectors import TextVectors
from training.search.write_search import CONFIG_FILE, INDEX_FOLDER, VECTORS_FILE

MAX_TOKENS = 16
"""Further words of a query do not search names; the time of a request grows with their number."""
NAME_CANDIDATES, CANDIDATES = 100, 200
NAME_SCORE = 10.0
UNREAD_SCORE = 0.8
TEXT_SCORE = 0.8
"""Times the similarity of its texts to the query: what a track without other matches scores."""
MIN_TEXT_SIMILARITY = 0.45
AFFINITY_WEIGHT = 0.2
MAX_SPANS = 8
MIN_SPAN_SIMILARITY = 0.6
"""As `phrase_similarity.MIN_SIMILARITY`, for words between phrases that were understood."""
SPAN_WEIGHT = 0.5
MIN_RELATIVE_SCORE = 0.5
"""Tracks that match less than this share of what the best one matches are left out."""

IsAllowed = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
Affinity = Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Match:
    """A track that matches a query, and why."""

    item: int
    score: float
    facets: tuple[FacetValue, ...] = ()  # facet values that the query asks for, in the query's order
    name_field: str = ""  # title, artist or album, if the query is a name
    words: tuple[str, ...] = ()  # words of the query that are in its names or lyrics
    released_on: date | None = None  # if the query names a period
    is_by_text: bool = False  # because its texts have a similar meaning


@dataclass(frozen=True)
class ParsedQuery:
    """Concepts, periods and names in a query."""

    concepts: list[Concept]
    periods: list[Period]
    unread: list[str]  # words that stand for nothing else
    named: list[NamedTrack]  # tracks whose title, artist or album it is
    content: str  # the query without stop words and periods


class TrackSearch:
    """Search over the tracks of a release.

    Args:
        index: Index of the tracks.
        phrases: Phrases of the catalog's facet values.
        vector_PD: Their embeddings.
        newest: Newest day of release in the catalog; "new" is relative to it.
        encode: Embeds texts with the encoder of `vector_PD`; None: no search by meaning.
        texts: Embeddings of the texts of tracks by the same encoder, if there are any.
    """

    def __init__(
        self,
        index: TrackIndex,
        phrases: Sequence[FacetPhrase],
        vector_PD: NDArray[np.float32],
        newest: date | None,
        encode: Encode | None,
        texts: TextVectors | None = None,
    ) -> None:
        self._index, self._newest, self._encode, self._texts = index, newest, encode, texts
        self._lexicon = Lexicon(phrases)
        self._meaning = MeaningMatcher(phrases, vector_PD, encode) if encode else None

    @classmethod
    def load(cls, folder: Path, encode: Encode | None, encoder_version: str) -> Self:
        """Open what `write_search` wrote. Without an encoder of the same version there is no search by meaning."""
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        phrases = [FacetPhrase((facet, value), text, weight) for facet, value, text, weight in config["phrases"]]
        newest = date.fromisoformat(config["newest"]) if config["newest"] else None
        vector_PD = np.load(folder / VECTORS_FILE, allow_pickle=False).astype(np.float32)
        index = TrackIndex(folder / INDEX_FOLDER)
        if config["encoder"] != encoder_version:
            return cls(index, phrases, vector_PD, newest, encode=None)
        return cls(index, phrases, vector_PD, newest, encode, TextVectors.load(folder))

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self._index)

    def search(
        self,
        query: str,
        limit: int,
        today: date,
        is_allowed: IsAllowed = lambda items: np.ones(len(items), dtype=bool),
        affinity: Affinity | None = None,
    ) -> list[Match]:
        """At most `limit` tracks, best first; the most popular first among equally good ones.

        Args:
            query: In words of any kind.
            limit: Number of tracks.
            today: The day that "new" and "last year" refer to.
            is_allowed: Which of some items may be found.
            affinity: How well items suit the user, 0..1. It decides between similarly good matches.
        """
        parsed = self.parse(query, today, max(NAME_CANDIDATES, 2 * limit))
        named = self._rank_named(parsed, is_allowed, affinity)[:limit]
        is_understood = bool(parsed.concepts or parsed.periods) and not parsed.unread
        if parsed.named and not (parsed.named[0].is_whole_query and is_understood):
            return named
        found = {match.item for match in named}
        others = [match for match in self._rank_others(parsed, limit, is_allowed, affinity) if match.item not in found]
        return (named + others)[:limit]

    def parse(self, query: str, today: date, name_candidates: int = NAME_CANDIDATES) -> ParsedQuery:
        """Concepts, periods and names in the query."""
        text = normalize(query)
        periods, rest = read_periods(text, min(today, self._newest) if self._newest else today)
        reading = self._lexicon.read(rest, self._index.is_name_word)
        whole = self._lexicon.read(text, self._index.is_name_word) if periods else reading
        words = tokens(text)[:MAX_TOKENS]
        content = (whole.content or words)[:MAX_TOKENS]
        unread = [token for run in reading.unread for token in run][:MAX_TOKENS]
        exact = {word for word in words if word in self._lexicon}
        exact |= {word for word in set(reading.content).difference(unread) if is_chinese(word)}
        named = find_named_tracks(self._index, words, content, exact, name_candidates)
        concepts = reading.concepts if named else reading.concepts + self._by_meaning(reading)
        return ParsedQuery(concepts, periods, unread, named, join(reading.content))

    def _by_meaning(self, reading: Reading) -> list[Concept]:
        """Concepts of the words that no phrase covers; of the whole query, if there is no other concept."""
        if self._meaning is None or not reading.unread:
            return []
        if not reading.concepts:
            return self._meaning.match([join(reading.content)])
        known = {value for concept in reading.concepts for value in concept.weights}
        spans = [text for run in reading.unread if len(text := join(run)) > 1][:MAX_SPANS]
        return [
            Concept({value: weight * SPAN_WEIGHT for value, weight in concept.weights.items()}, concept.words)
            for concept in self._meaning.match(spans, MIN_SPAN_SIMILARITY)
            if not known & concept.weights.keys()
        ]

    def _rank_named(self, parsed: ParsedQuery, is_allowed: IsAllowed, affinity: Affinity | None) -> list[Match]:
        """Tracks that the query names, the most similar names first, then by what else the query asks for."""
        items = np.array([track.hit.item for track in parsed.named], dtype=np.int64)
        named = [track for track, is_kept in zip(parsed.named, is_allowed(items), strict=True) if is_kept]
        if not named:
            return []
        days = self._index.released_on([track.hit for track in named])
        scores = [
            NAME_SCORE * track.similarity
            + _score(_not_covered(parsed.concepts, track.words), parsed.periods, track.document, day)
            for track, day in zip(named, days, strict=True)
        ]
        item_C = np.array([track.hit.item for track in named], dtype=np.int64)
        score_C = np.array(scores) + _affinity(affinity, item_C)
        order = np.lexsort((item_C, -score_C)).tolist()
        matches = []
        for place in order:
            track, day = named[place], days[place]
            concepts = [] if track.is_whole_query else _not_covered(parsed.concepts, track.words)
            match = self._explain(concepts, parsed.periods, track.hit, track.document, float(score_C[place]), day)
            matches.append(replace(match, name_field=track.field))
        return matches

    def _rank_others(
        self, parsed: ParsedQuery, limit: int, is_allowed: IsAllowed, affinity: Affinity | None
    ) -> list[Match]:
        """Tracks that match most parts of the query."""
        hits = self._find_allowed(parsed, limit, is_allowed)
        near = self._near_by_text(parsed, max(CANDIDATES, 2 * limit), is_allowed)
        hits = _add_texts(hits, near, [self._score_document(parsed, hit) for hit in near])
        if not hits:
            return []
        near_items = {hit.item for hit in near}
        item_C = np.array([hit.item for hit in hits], dtype=np.int64)
        score_C = np.array([hit.score for hit in hits]) + _affinity(affinity, item_C)
        order = np.lexsort((item_C, -score_C)).tolist()
        least = MIN_RELATIVE_SCORE * max(hit.score for hit in hits)
        chosen = [place for place in order if hits[place].score >= least][:limit]
        days = self._index.released_on([hits[place] for place in chosen])
        matches = []
        for place, day in zip(chosen, days, strict=True):
            document = self._index.document(hits[place])
            match = self._explain(parsed.concepts, parsed.periods, hits[place], document, float(score_C[place]), day)
            is_by_text = match.item in near_items
            is_by_words = not (match.facets or match.released_on or is_by_text)
            matches.append(replace(match, words=tuple(parsed.unread) if is_by_words else (), is_by_text=is_by_text))
        return matches

    def _near_by_text(self, parsed: ParsedQuery, limit: int, is_allowed: IsAllowed) -> list[Hit]:
        """Allowed tracks whose texts have a similar meaning, if words of the query were not understood."""
        if self._texts is None or self._encode is None or not parsed.unread:
            return []
        near = self._texts.nearest(self._encode([parsed.content])[0], limit, MIN_TEXT_SIMILARITY)
        kept = is_allowed(np.array([item for item, _ in near], dtype=np.int64))
        hits = [
            self._index.hit_of(item, TEXT_SCORE * similarity)
            for (item, similarity), is_kept in zip(near, kept, strict=True)
            if is_kept
        ]
        return [hit for hit in hits if hit is not None]

    def _score_document(self, parsed: ParsedQuery, hit: Hit) -> float:
        (day,) = self._index.released_on([hit])
        return _score(parsed.concepts, parsed.periods, self._index.document(hit), day)

    def _find_allowed(self, parsed: ParsedQuery, limit: int, is_allowed: IsAllowed) -> list[Hit]:
        """Allowed tracks; asks the index for more if too few of them are allowed."""
        count = max(CANDIDATES, 2 * limit)
        while True:
            found = self._index.find(parsed.concepts, parsed.periods, parsed.unread, count, UNREAD_SCORE)
            items = np.array([hit.item for hit in found], dtype=np.int64)
            allowed = [hit for hit, is_kept in zip(found, is_allowed(items), strict=True) if is_kept]
            if len(allowed) >= limit or len(found) < count:
                return allowed
            count *= 8

    def _explain(
        self,
        concepts: Sequence[Concept],
        periods: Sequence[Period],
        hit: Hit,
        document: Document,
        score: float,
        day: date | None,
    ) -> Match:
        facets = dict.fromkeys(
            value
            for concept in concepts
            if not concept.is_excluded
            for value in sorted(concept.weights, key=lambda value: -concept.weights[value])
            if value in document.facets
        )
        return Match(hit.item, round(score, 4), tuple(facets), released_on=day if _is_within(periods, day) else None)


def _score(concepts: Sequence[Concept], periods: Sequence[Period], document: Document, day: date | None) -> float:
    """What a track has of concepts and periods, about as `TrackIndex.find` scores it."""
    score = 1.0 if _is_within(periods, day) else 0.0
    for concept in concepts:
        weights = [weight for value, weight in concept.weights.items() if value in document.facets]
        if weights:
            worth = max(weights) + ALSO * (sum(weights) - max(weights))
            score += -worth if concept.is_excluded else worth
    return score


def _add_texts(hits: Sequence[Hit], near: Sequence[Hit], scores: Sequence[float]) -> list[Hit]:
    """Hits with the scores of their texts added; `scores` are what those without a hit score besides."""
    by_item = {hit.item: hit for hit in hits}
    for text, score in zip(near, scores, strict=True):
        base = by_item[text.item].score if text.item in by_item else score
        by_item[text.item] = replace(text, score=base + text.score)
    return list(by_item.values())


def _not_covered(concepts: Sequence[Concept], words: frozenset[str]) -> list[Concept]:
    """Concepts of words that are not part of the name."""
    return [concept for concept in concepts if not words.issuperset(tokens(concept.words))]


def _is_within(periods: Sequence[Period], day: date | None) -> bool:
    return day is not None and any(first <= day <= last for period in periods for first, last in period.ranges)


def _affinity(affinity: Affinity | None, item_C: NDArray[np.int64]) -> NDArray[np.float64] | float:
    return AFFINITY_WEIGHT * affinity(item_C) if affinity else 0.0
