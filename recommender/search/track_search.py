"""Search of tracks: reads a query, collects candidates from the index, and ranks them.

A query that is the name of a track, artist or album finds that; otherwise the tracks that match most parts of it. Styles and
languages that it names are required, and the opposites of moods left out, if enough tracks remain. Tracks of other periods than
those that it names are not found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommender.search.full_text_index import ALSO, PERIOD_SCORE, Document, Hit, TrackIndex
from recommender.search.grammar import Concept, FacetValue
from recommender.search.named_tracks import find_named_tracks
from recommender.search.noise_floor import similarity_floor
from recommender.search.phrase_similarity import Encode
from recommender.search.query_parser import MAX_TOKENS, Query, QueryParser
from recommender.search.release_period import Period
from recommender.search.text_normalization import normalize, tokens
from recommender.search.text_vectors import TextVectors
from recommender.search.write_search import INDEX_FOLDER

NAME_CANDIDATES, CANDIDATES, NAMED_ITEMS = 100, 200, 500
NAME_SCORE = 10.0
UNREAD_SCORE = 0.8
TEXT_SCORE = 0.8
"""Times the similarity of its texts to the query: what a track without other matches scores."""
AFFINITY_WEIGHT = 0.2
MIN_MISSPELLED_SCORE = 0.4
"""Half of the words of a query without any other meaning are in a name with errors, or its texts are similar."""
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
    is_partial: bool = False  # lacks a style or language that the query names, or has the opposite of a mood


class TrackSearch:
    """Search over the tracks of a release.

    Args:
        index: Index of the tracks.
        parser: Parser of queries.
        texts: Embeddings of the texts of tracks by the parser's encoder, if there are any.
    """

    def __init__(self, index: TrackIndex, parser: QueryParser, texts: TextVectors | None) -> None:
        self._index, self._parser, self._texts = index, parser, texts

    @classmethod
    def load(cls, folder: Path, encode: Encode | None, encoder_version: str) -> Self:
        """Open what `write_search` wrote. Without an encoder of the same version there is no search by meaning."""
        parser = QueryParser.load(folder, encode, encoder_version)
        return cls(TrackIndex(folder / INDEX_FOLDER), parser, TextVectors.load(folder))

    def search(
        self,
        query: str,
        limit: int,
        today: date,
        is_allowed: IsAllowed = lambda items: np.ones(len(items), dtype=bool),
        affinity: Affinity = lambda items: np.zeros(len(items)),
    ) -> list[Match]:
        """At most `limit` tracks, best first; the most popular first among equally good ones.

        Args:
            query: In words of any kind.
            limit: Number of tracks.
            today: The day that "new" and "last year" refer to.
            is_allowed: Which of some items may be found.
            affinity: How well items suit the user, 0..1. It decides between similarly good matches.
        """
        return self.rank(self.parse(query, today, 2 * limit), limit, is_allowed, affinity)

    def parse(self, text: str, today: date, names: int = 0) -> Query:
        """What a text asks for; `unknown` is what no track has, in names and lyrics either.

        Args:
            text: Words of any kind.
            today: See `search`.
            names: Number of tracks that may have a name of the text, NAME_CANDIDATES at least.
        """
        find_names = partial(find_named_tracks, self._index, limit=max(names, NAME_CANDIDATES))
        query = self._parser.parse(text, self._index.is_name_word, find_names, today)
        unknown = [one for one in query.unknown if not self._index.has_words(tokens(normalize(one)))]
        empty = [period for period in query.periods if not self._index.find([], [period], [], 1)]
        kept = [period for period in query.periods if period not in empty]
        dated = {token for period in query.periods for token in tokens(normalize(period.words))}
        if dated and all(dated.isdisjoint(named.words) for named in query.names):  # "Anna 2012" is a name and a year
            query = replace(query, names=[replace(named, is_whole_query=False) for named in query.names])
        return replace(query, unknown=unknown, periods=kept, empty_periods=empty)

    def items_named(self, text: str, field: str) -> list[int]:
        """Items whose `artist` or `album` has the most words of a text, the most popular first; errors as in `search`."""
        words = tokens(normalize(text))[:MAX_TOKENS]
        return [hit.item for hit in self._index.find_in_field(field, words, NAMED_ITEMS)]

    def rank(
        self,
        query: Query,
        limit: int,
        is_allowed: IsAllowed = lambda items: np.ones(len(items), dtype=bool),
        affinity: Affinity = lambda items: np.zeros(len(items)),
    ) -> list[Match]:
        """As `search`, for a parsed query."""
        named = self._rank_named(query, is_allowed, affinity)[:limit]
        if query.names and (query.is_name or not query.names[0].is_whole_query):
            return named
        found = {match.item for match in named}
        others = [match for match in self._rank_others(query, limit, is_allowed, affinity) if match.item not in found]
        return (named + others)[:limit]

    def _rank_named(self, query: Query, is_allowed: IsAllowed, affinity: Affinity) -> list[Match]:
        """Tracks that the query names, the most similar names first, then by what else the query asks for."""
        items = np.array([track.hit.item for track in query.names], dtype=np.int64)
        named = [
            track
            for track, is_kept in zip(query.names, is_allowed(items), strict=True)
            if is_kept and (track.is_whole_query or query.unwanted_values.isdisjoint(track.document.facets))
        ]
        if not named:
            return []
        days = self._index.released_on([track.hit for track in named])
        within = [] if named[0].is_whole_query else [_is_within(query.periods, day) for day in days]
        if any(within):
            named, days = [*compress(named, within)], [*compress(days, within)]
        scores = [
            NAME_SCORE * track.similarity
            + _score(not_covered(query.wanted, track.words), query.periods, track.document, day)
            for track, day in zip(named, days, strict=True)
        ]
        item_C = np.array([track.hit.item for track in named], dtype=np.int64)
        score_C = np.array(scores) + AFFINITY_WEIGHT * affinity(item_C)
        order = np.lexsort((item_C, -score_C)).tolist()
        matches = []
        for place in order:
            track, day = named[place], days[place]
            concepts = [] if track.is_whole_query else not_covered(query.wanted, track.words)
            match = self._explain(concepts, query.periods, track.hit, track.document, float(score_C[place]), day)
            matches.append(replace(match, name_field=track.field))
        return matches

    def _rank_others(self, query: Query, limit: int, is_allowed: IsAllowed, affinity: Affinity) -> list[Match]:
        """Tracks that match most parts of the query, first those that it does not rule out as partial."""
        hits = self._find_allowed(query, limit, is_allowed, query.required, query.opposite_values)
        complete = {hit.item for hit in hits}
        if len(hits) < limit and (query.required or query.opposite_values):
            hits += [hit for hit in self._find_allowed(query, limit, is_allowed) if hit.item not in complete]
        near = self._near_by_text(query, max(CANDIDATES, 2 * limit), is_allowed)
        documents = {hit.item: self._index.document(hit) for hit in near}
        # A track is partial that lacks a style or language of the query, or has the opposite of a mood.
        complete |= {
            item
            for item, document in documents.items()
            if query.opposite_values.isdisjoint(document.facets)
            and not any(map(document.facets.isdisjoint, query.required))
        }
        by_day = zip(documents.values(), self._index.released_on(near), strict=True)
        hits = _add_texts(hits, near, [_score(query.wanted, query.periods, *one) for one in by_day])
        if not hits:
            return []
        item_C = np.array([hit.item for hit in hits], dtype=np.int64)
        score_C = np.array([hit.score for hit in hits]) + AFFINITY_WEIGHT * affinity(item_C)
        order = np.lexsort((item_C, -score_C, ~np.isin(item_C, list(complete)))).tolist()
        least = MIN_RELATIVE_SCORE * max(hit.score for hit in hits)
        if not (query.is_understood or self._index.has_words(query.unread, any)):
            least = max(least, MIN_MISSPELLED_SCORE)
        chosen = [place for place in order if hits[place].score >= least][:limit]
        days = self._index.released_on([hits[place] for place in chosen])
        matches = []
        for place, day in zip(chosen, days, strict=True):
            document = self._index.document(hits[place])
            match = self._explain(query.wanted, query.periods, hits[place], document, float(score_C[place]), day)
            is_by_text = match.item in documents
            is_by_words = not (match.facets or match.released_on or is_by_text)
            match = replace(match, is_by_text=is_by_text, is_partial=match.item not in complete)
            matches.append(replace(match, words=tuple(query.unread) if is_by_words else ()))
        return matches

    def _near_by_text(self, query: Query, limit: int, is_allowed: IsAllowed) -> list[Hit]:
        """Allowed tracks whose texts have a similar meaning, if words of the query were not understood."""
        if self._texts is None or self._parser.encode is None or not query.unread:
            return []
        vector_D = self._parser.encode([query.content])[0]
        near = self._texts.nearest(vector_D, limit, similarity_floor(vector_D, self._parser.encode))
        kept = is_allowed(np.array([item for item, _ in near], dtype=np.int64))
        hits = [
            self._index.hit_of(item, TEXT_SCORE * similarity)
            for (item, similarity), is_kept in zip(near, kept, strict=True)
            if is_kept
        ]
        found = [hit for hit in hits if hit is not None]
        return [
            hit
            for hit, day in zip(found, self._index.released_on(found), strict=True)
            if query.unwanted_values.isdisjoint(self._index.document(hit).facets)
            and not _is_within(query.unwanted_periods, day)
            and (not query.periods or _is_within(query.periods, day))
        ]

    def _find_allowed(
        self,
        query: Query,
        limit: int,
        is_allowed: IsAllowed,
        required: Sequence[frozenset[FacetValue]] = (),
        opposite: frozenset[FacetValue] = frozenset(),
    ) -> list[Hit]:
        """Allowed tracks; asks the index for more if too few of them are allowed."""
        count, excluded = max(CANDIDATES, 2 * limit), query.unwanted_values | opposite
        while True:
            found = self._index.find(
                query.wanted,
                query.periods,
                query.unread,
                count,
                UNREAD_SCORE,
                required,
                excluded,
                query.unwanted_periods,
            )
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
            for value in sorted(concept.weights, key=lambda value: -concept.weights[value])
            if value in document.facets
        )
        return Match(hit.item, round(score, 4), tuple(facets), released_on=day if _is_within(periods, day) else None)


def _score(concepts: Sequence[Concept], periods: Sequence[Period], document: Document, day: date | None) -> float:
    """What a track has of concepts and periods, about as `TrackIndex.find` scores it."""
    score = PERIOD_SCORE if _is_within(periods, day) else 0.0
    for concept in concepts:
        weights = [weight for value, weight in concept.weights.items() if value in document.facets]
        if weights:
            score += max(weights) + ALSO * (sum(weights) - max(weights))
    return score


def _add_texts(hits: Sequence[Hit], near: Sequence[Hit], scores: Sequence[float]) -> list[Hit]:
    """Hits with the scores of their texts added; `scores` are what those without a hit score besides."""
    by_item = {hit.item: hit for hit in hits}
    for text, score in zip(near, scores, strict=True):
        base = by_item[text.item].score if text.item in by_item else score
        by_item[text.item] = replace(text, score=base + text.score)
    return list(by_item.values())


def not_covered(concepts: Sequence[Concept], words: frozenset[str]) -> list[Concept]:
    """Concepts of words that are not part of the name."""
    return [concept for concept in concepts if not words.issuperset(tokens(concept.words))]


def _is_within(periods: Sequence[Period], day: date | None) -> bool:
    return day is not None and any(first <= day <= last for period in periods for first, last in period.ranges)
