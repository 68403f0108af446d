"""Search of tracks: reads a query, collects candidates from the index, and ranks them.

    query → periods → phrases of facet values → names with typing errors → meaning of what is left → ranking

A query that is the name of a track, artist or album finds that; otherwise the tracks that match most parts of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.training_data import FACETS
from training.search.concept import Concept, FacetValue
from training.search.index import Document, Hit, TrackIndex, build_index
from training.search.lexicon import FacetPhrase, Lexicon, Reading, phrases_of
from training.search.meaning import Encode, MeaningMatcher
from training.search.names import name_similarity
from training.search.period import Period, read_periods
from training.search.text import is_chinese, normalize

MAX_TOKENS = 16
"""Further words of a query do not search names; the time of a request grows with their number."""
MAX_FACET_VALUES = 1_000
"""Facet values, most frequent first, that have phrases of their own."""
NAME_CANDIDATES, CANDIDATES = 100, 200
MIN_NAME_SIMILARITY = 0.8
"""Similarity from which the query counts as a name."""
MIN_SPAN_SIMILARITY = 0.6
"""As `meaning.MIN_SIMILARITY`, for words between phrases that were understood."""
SPAN_WEIGHT = 0.5
MIN_RELATIVE_SCORE = 0.5
"""Tracks that match less than this share of what the best one matches are left out."""
INDEX_FOLDER, VECTORS_FILE, CONFIG_FILE = "index", "phrases.npy", "search.json"

IsAllowed = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
Affinity = Callable[[Sequence[Document]], NDArray[np.float64]]


@dataclass(frozen=True)
class Match:
    """A track that matches a query, and why."""

    item: int
    score: float
    facets: tuple[FacetValue, ...] = ()  # facet values that the query asks for, in the query's order
    name_field: str = ""  # title, artist or album, if the query is a name
    words: tuple[str, ...] = ()  # words of the query that are in its names or lyrics
    released_on: date | None = None  # if the query names a period


@dataclass(frozen=True)
class ParsedQuery:
    """What a query asks for."""

    concepts: list[Concept]
    periods: list[Period]
    name_tokens: list[str]  # words that may be names, also those of concepts
    unread: list[list[str]]  # runs of words that stand for nothing else


class TrackSearch:
    """Search over the tracks of a release.

    Args:
        index: Index of the tracks.
        phrases: Phrases of the catalog's facet values.
        vector_PD: Their embeddings.
        newest: Newest day of release in the catalog; "new" is relative to it.
        encode: Embeds texts with the encoder of `vector_PD`; None: no search by meaning.
    """

    def __init__(
        self,
        index: TrackIndex,
        phrases: Sequence[FacetPhrase],
        vector_PD: NDArray[np.float32],
        newest: date | None,
        encode: Encode | None,
    ) -> None:
        self._index, self._newest = index, newest
        self._lexicon = Lexicon(phrases)
        self._meaning = MeaningMatcher(phrases, vector_PD, encode) if encode else None

    @classmethod
    def load(cls, folder: Path, encode: Encode | None, encoder_version: str) -> Self:
        """Open what `write_search` wrote. Without an encoder of the same version there is no search by meaning."""
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        phrases = [FacetPhrase((facet, value), text, weight) for facet, value, text, weight in config["phrases"]]
        newest = date.fromisoformat(config["newest"]) if config["newest"] else None
        is_same_encoder = config["encoder"] == encoder_version
        vector_PD = np.load(folder / VECTORS_FILE, allow_pickle=False).astype(np.float32)
        return cls(TrackIndex(folder / INDEX_FOLDER), phrases, vector_PD, newest, encode if is_same_encoder else None)

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
            affinity: 0..1 for some tracks: how well they suit the user. It decides between similarly good matches.
        """
        parsed, names = self._parse(query, limit, today)
        hits = self._candidates(parsed, names, limit, is_allowed)
        if not hits:
            return []
        documents = [self._index.document(hit) for hit in hits]
        score_C = np.array([hit.score for hit in hits])
        if affinity is not None:
            score_C = score_C + AFFINITY_WEIGHT * affinity(documents)
        order = np.lexsort(([hit.item for hit in hits], -score_C))
        best = float(score_C[order[0]])
        chosen = [place for place in order.tolist() if score_C[place] >= MIN_RELATIVE_SCORE * best][:limit]
        days = self._index.released_on([hits[place] for place in chosen])
        return [
            self._explain(parsed, hits[place], documents[place], float(score_C[place]), day)
            for place, day in zip(chosen, days, strict=True)
        ]

    def parse(self, query: str, today: date) -> ParsedQuery:
        """What the query asks for."""
        return self._parse(query, 1, today)[0]

    def _parse(self, query: str, limit: int, today: date) -> tuple[ParsedQuery, dict[int, tuple[Hit, float]]]:
        """What the query asks for, and the tracks whose name it is: item → hit and similarity."""
        text = normalize(query)
        reference = min(today, self._newest) if self._newest else today
        periods, rest = read_periods(text, reference)
        is_name_word = self._index.is_name_word
        reading = self._lexicon.read(rest, is_name_word)
        whole = self._lexicon.read(text, is_name_word) if periods else reading
        name_tokens = (whole.content or text.split())[:MAX_TOKENS]
        names = self._named(name_tokens, max(NAME_CANDIDATES, 2 * limit))
        concepts = reading.concepts
        if not names:
            concepts = concepts + self._by_meaning(reading)
        unread = [token for run in reading.unread for token in run][:MAX_TOKENS]
        return ParsedQuery(concepts, periods, name_tokens, [unread] if unread else []), names

    def _by_meaning(self, reading: Reading) -> list[Concept]:
        """Concepts of the words that no phrase covers; of the whole query, if there is no other concept."""
        if self._meaning is None or not reading.unread:
            return []
        if not reading.concepts:
            return self._meaning.match([_join(reading.content)])
        known = {value for concept in reading.concepts for value in concept.weights}
        spans = [_join(run) for run in reading.unread if len(_join(run)) > 1]
        return [
            Concept({value: weight * SPAN_WEIGHT for value, weight in concept.weights.items()}, concept.words)
            for concept in self._meaning.match(spans, MIN_SPAN_SIMILARITY)
            if not known & concept.weights.keys()
        ]

    def _named(self, tokens: Sequence[str], limit: int) -> dict[int, tuple[Hit, float]]:
        named = {}
        for hit in self._index.find_names(tokens, limit):
            document = self._index.document(hit)
            similarity = max(_similarities(tokens, document).values())
            if similarity >= MIN_NAME_SIMILARITY:
                named[hit.item] = hit, similarity
        return named

    def _candidates(
        self, parsed: ParsedQuery, names: dict[int, tuple[Hit, float]], limit: int, is_allowed: IsAllowed
    ) -> list[Hit]:
        """Allowed tracks with their scores; asks for more if too few are allowed."""
        unread = [token for run in parsed.unread for token in run]
        name_worth = 1.0 + len(parsed.concepts) + len(parsed.periods)
        count = max(CANDIDATES, 2 * limit)
        while True:
            found = self._index.find(parsed.concepts, parsed.periods, unread, count)
            by_item = {hit.item: hit for hit in found}
            for item, (hit, similarity) in names.items():
                base = by_item[item].score if item in by_item else 0.0
                by_item[item] = Hit(item, base + name_worth * similarity**2, hit.address)
            items = np.array(list(by_item), dtype=np.int64)
            allowed = items[is_allowed(items)].tolist() if len(items) else []
            if len(allowed) >= limit or len(found) < count or count >= len(self):
                return [by_item[item] for item in allowed]
            count = min(8 * count, len(self))

    def _explain(self, parsed: ParsedQuery, hit: Hit, document: Document, score: float, day: date | None) -> Match:
        facets = dict.fromkeys(
            value
            for concept in parsed.concepts
            if not concept.is_excluded
            for value in sorted(concept.weights, key=lambda value: -concept.weights[value])
            if value in document.facets
        )
        similarity = _similarities(parsed.name_tokens, document)
        field = max(similarity, key=lambda name: similarity[name])
        is_in_period = day is not None and any(
            first <= day <= last for period in parsed.periods for first, last in period.ranges
        )
        is_named = similarity[field] >= MIN_NAME_SIMILARITY
        words = () if is_named else tuple(token for run in parsed.unread for token in run)
        return Match(
            item=hit.item,
            score=round(score, 4),
            facets=tuple(facets),
            name_field=field if is_named else "",
            words=words if not facets and not is_in_period else (),
            released_on=day if is_in_period else None,
        )


AFFINITY_WEIGHT = 0.2


def write_search(tracks: pl.DataFrame, folder: Path, encode: Encode, encoder_version: str) -> None:
    """Write the search of a release into `folder`, see `index.build_index` for the columns of `tracks`."""
    build_index(tracks, folder / INDEX_FOLDER)
    phrases = phrases_of(_frequent_values(tracks))
    vector_PD = encode([phrase.text for phrase in phrases]) if phrases else np.zeros((0, 1), dtype=np.float32)
    np.save(folder / VECTORS_FILE, vector_PD.astype(np.float16), allow_pickle=False)
    newest = tracks["released_on"].max() if "released_on" in tracks.columns else None
    config = {
        "encoder": encoder_version,
        "newest": newest.isoformat() if isinstance(newest, date) else None,
        "phrases": [[*phrase.value, phrase.text, phrase.weight] for phrase in phrases],
    }
    (folder / CONFIG_FILE).write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


def _frequent_values(tracks: pl.DataFrame) -> list[FacetValue]:
    """The facet values of the tracks, most frequent first."""
    counts: list[tuple[int, FacetValue]] = []
    for facet in FACETS:
        if facet in tracks.columns:
            values = tracks[facet].cast(pl.List(pl.String)).explode().drop_nulls().value_counts()
            counts += [(count, (facet, value)) for value, count in values.iter_rows() if value]
    return [value for _, value in sorted(counts, key=lambda one: (-one[0], one[1]))][:MAX_FACET_VALUES]


def _similarities(tokens: Sequence[str], document: Document) -> dict[str, float]:
    """Similarity of a query to each kind of name of a track."""
    artists = " ".join(document.artists)
    both = name_similarity(tokens, f"{document.title} {artists}")
    return {
        "title": max(name_similarity(tokens, document.title), both if document.title else 0.0),
        "artist": max((name_similarity(tokens, artist) for artist in document.artists), default=0.0),
        "album": name_similarity(tokens, document.album),
    }


def _join(words: Sequence[str]) -> str:
    text = ""
    for word in words:
        text += word if is_chinese(word) or not text else f" {word}"
    return text
