"""Full-text index of the tracks of a release (tantivy), read from the disk through memory maps; see `write_search`."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from weakref import finalize

import tantivy

from recommender.search.grammar import FACET_WEIGHTS, Concept, FacetValue
from recommender.search.release_period import Period
from recommender.search.text_normalization import is_chinese

NAME_FIELDS = {"title": 1.0, "artist": 1.0, "album": 0.6}
"""Fields of names and the weight of a match in each."""
TEXT_FIELDS = {**NAME_FIELDS, "lyrics": 0.4}
ALSO = 0.3
"""Share of the score of further alternatives of which one is enough: other fields, other values of a concept."""
FUZZY_WEIGHT = 0.8
MAX_RARE_COUNT, RARE_FUZZY_WEIGHT = 3, 0.5
"""A term of at most this many tracks may be an error in a frequent one."""
MIN_FUZZY_LENGTH, MIN_LENGTH_OF_TWO_ERRORS, MIN_SPLIT_LENGTH = 4, 8, 8
PERIOD_SCORE = 0.25
"""Of a track that was released in a period of the query: less than what is worth being found for."""
EPOCH = date(1970, 1, 1)
FACET_SEPARATOR = ":"


@dataclass(frozen=True)
class Hit:
    """A track that an index query found."""

    item: int
    score: float
    address: Any  # of the document, see `TrackIndex.document`


@dataclass(frozen=True)
class Document:
    """Stored fields of a track."""

    title: str
    artists: tuple[str, ...]
    album: str
    facets: frozenset[FacetValue]


class TrackIndex:
    """An opened index.

    Args:
        folder: A folder that `build_index` wrote. It is not written to: tantivy locks the folder that it opens, so it
            opens a temporary one with links to the files.
    """

    def __init__(self, folder: Path) -> None:
        links = Path(tempfile.mkdtemp(prefix="segue-search-"))
        finalize(self, shutil.rmtree, links, ignore_errors=True)
        for path in folder.iterdir():
            (links / path.name).symlink_to(path.resolve())
        self._index = tantivy.Index.open(str(links))
        self._index.config_reader("manual")
        self._index.reload()
        self._searcher = self._index.searcher()
        self._schema = self._index.schema

    def __len__(self) -> int:
        """Number of tracks."""
        return int(self._searcher.num_docs)

    def document(self, hit: Hit) -> Document:
        """The document of a hit."""
        title, artists, album, facets = json.loads(bytes(self._searcher.doc(hit.address)["document"][0]))
        pairs = (value.split(FACET_SEPARATOR, 1) for value in facets)
        return Document(title, tuple(artists), album, frozenset((facet, value) for facet, value in pairs))

    def released_on(self, hits: Sequence[Hit]) -> list[date | None]:
        """Days of release."""
        days = self._searcher.fast_field_values("released", [hit.address for hit in hits]) if hits else []
        return [None if day is None else date.fromordinal(EPOCH.toordinal() + int(day)) for day in days]

    def hit_of(self, item: int, score: float) -> Hit | None:
        """An item as a hit; None if the index does not have it."""
        found = self._searcher.search(self._term("item", item), limit=1, count=False).hits
        return Hit(item, score, found[0][1]) if found else None

    def is_name_word(self, token: str) -> bool:
        """Whether a token occurs in a title or an artist's name."""
        return any(self._searcher.doc_freq(name, token) for name in ("title", "artist"))

    def has_words(self, tokens: Sequence[str], rule: Callable[[Iterable[bool]], bool] = all) -> bool:
        """Whether all tokens, or `any`, occur in a name or in lyrics, long ones maybe with an error; false without tokens."""
        return bool(tokens) and rule(map(self._has_term, _query_terms(tokens)))

    def _has_term(self, term: str) -> bool:
        is_exact = any(self._searcher.doc_freq(field, term) for field in TEXT_FIELDS)
        return is_exact or (len(term) >= MIN_SPLIT_LENGTH and bool(self._fuzzy_matches(term, TEXT_FIELDS)))

    def find_names(self, tokens: Sequence[str], limit: int) -> list[Hit]:
        """Tracks whose title, artists or album have the most of these tokens, rare ones first."""
        return self._search(self._text_query(tokens, NAME_FIELDS, are_pairs_split=True), limit)

    def find_in_field(self, field: str, tokens: Sequence[str], limit: int) -> list[Hit]:
        """Tracks with the most of these tokens in a field of NAME_FIELDS, or with a word that begins with the last one."""
        if not tokens:
            return []
        begun = tantivy.Query.fuzzy_term_query(self._schema, field, tokens[-1], 0, prefix=True)
        whole = self._text_query(tokens, {field: 1.0}, are_pairs_split=True) or begun
        return self._search(_alternatives([whole, tantivy.Query.boost_query(begun, FUZZY_WEIGHT)]), limit)

    def find(
        self,
        concepts: Sequence[Concept],
        periods: Sequence[Period],
        tokens: Sequence[str],
        limit: int,
        tokens_weight: float = 1.0,
        required: Sequence[Collection[FacetValue]] = (),
        excluded: Collection[FacetValue] = (),
        excluded_periods: Sequence[Period] = (),
    ) -> list[Hit]:
        """Tracks with the highest sum of scores.

        Args:
            concepts: Each scores about 1 at most.
            periods: A track was released in one of them. Each scores PERIOD_SCORE at most.
            tokens: Tokens of names and lyrics; all together score `tokens_weight` at most in a field.
            limit: Number of tracks.
            tokens_weight: See `tokens`.
            required: Sets of values of which a track has at least one each.
            excluded: Values that no track has; without anything else, all other tracks are found.
            excluded_periods: Periods that no track was released in; as `excluded`.
        """
        parts = [self._concept_query(concept) for concept in concepts]
        if text := self._text_query(tokens, TEXT_FIELDS):
            parts.append(tantivy.Query.boost_query(text, tokens_weight))
        none_of = [self._any_of(excluded)] if excluded else []
        none_of += [self._period_query(period) for period in excluded_periods]
        released = [(tantivy.Occur.Should, self._period_query(period)) for period in periods]
        if none_of and not (parts or released):
            parts.append(tantivy.Query.const_score_query(tantivy.Query.all_query(), 1.0))
        if not (parts or released):
            return []
        clauses = [(tantivy.Occur.Should, one) for one in parts]
        clauses += [(tantivy.Occur.Must, tantivy.Query.boost_query(self._any_of(one), 0.0)) for one in required]
        clauses += [(tantivy.Occur.MustNot, one) for one in none_of]
        clauses += [(tantivy.Occur.Must, tantivy.Query.boolean_query(released))] if released else []
        return self._search(tantivy.Query.boolean_query(clauses), limit)

    def _search(self, query: tantivy.Query | None, limit: int) -> list[Hit]:
        if query is None:
            return []
        found = self._searcher.search(query, limit=limit, count=False).hits
        items = self._searcher.fast_field_values("item", [address for _, address in found]) if found else []
        return [Hit(int(item or 0), float(score), address) for item, (score, address) in zip(items, found, strict=True)]

    def _concept_query(self, concept: Concept) -> tantivy.Query:
        return _alternatives(
            [
                tantivy.Query.const_score_query(
                    self._term("facet", FACET_SEPARATOR.join(value)), weight * FACET_WEIGHTS.get(value[0], 1.0)
                )
                for value, weight in concept.weights.items()
            ]
        )

    def _any_of(self, values: Collection[FacetValue]) -> tantivy.Query:
        terms = [self._term("facet", FACET_SEPARATOR.join(value)) for value in sorted(values)]
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, term) for term in terms])

    def _period_query(self, period: Period) -> tantivy.Query:
        integer = tantivy.FieldType.Integer
        ranges = [
            tantivy.Query.range_query(self._schema, "released", integer, (first - EPOCH).days, (last - EPOCH).days)
            for first, last in period.ranges
        ]
        step = 0.4 / len(ranges)
        return tantivy.Query.disjunction_max_query(
            [
                tantivy.Query.const_score_query(one, PERIOD_SCORE * (1.0 - step * place))
                for place, one in enumerate(ranges)
            ]
        )

    def _text_query(
        self, tokens: Sequence[str], fields: Mapping[str, float], are_pairs_split: bool = False
    ) -> tantivy.Query | None:
        """Scores 1 for a track with all tokens in a field that is worth 1.

        With `are_pairs_split`, one of two adjacent Chinese characters is enough for half the score if no name has both.
        """
        terms = _query_terms(tokens)
        rarity = [self._rarity(term) for term in terms]
        matches = [self._term_matches(term, fields, are_pairs_split) for term in terms]
        by_field = []
        for field, worth in fields.items():
            parts = [
                (tantivy.Occur.Should, tantivy.Query.const_score_query(query, worth * rare / sum(rarity) * weight))
                for rare, build in zip(rarity, matches, strict=True)
                for query, weight in build(field)
            ]
            if parts:
                by_field.append(tantivy.Query.boolean_query(parts))
        return _alternatives(by_field) if by_field else None

    def _rarity(self, term: str) -> float:
        """1 for unknown and rare terms, less for frequent ones."""
        count = max(self._searcher.doc_freq(field, term) for field in ("title", "artist"))
        return max(0.2, 1 - math.log1p(count) / math.log1p(len(self) + 1)) if count else 1.0

    def _term_matches(
        self, term: str, fields: Mapping[str, float], are_pairs_split: bool
    ) -> Callable[[str], list[tuple[tantivy.Query, float]]]:
        """Function from one of the fields to the queries for a term and their weights.

        Exact if the term exists, else with one error, or two in long words, else as two words. A rare term may be a common one
        with an error in names; errors in lyrics are looked for only if no field has the term.
        """
        counts = {field: self._searcher.doc_freq(field, term) for field in TEXT_FIELDS}
        exact = [field for field, count in counts.items() if count]
        in_names = sum(counts[field] for field in NAME_FIELDS)
        fuzzy = self._fuzzy_matches(term, NAME_FIELDS) if in_names <= MAX_RARE_COUNT else {}
        if not exact:
            fuzzy |= self._fuzzy_matches(term, fields.keys() - NAME_FIELDS)
        if fuzzy or exact:
            fuzzy_weight = RARE_FUZZY_WEIGHT if in_names else FUZZY_WEIGHT

            def build(field: str) -> list[tuple[tantivy.Query, float]]:
                parts = [(fuzzy[field], fuzzy_weight)] if field in fuzzy else []
                if field in exact:  # words without an error are among the fuzzy ones
                    parts.append((self._term(field, term), 1.0 - fuzzy_weight if field in fuzzy else 1.0))
                return parts

            return build
        pair: Sequence[str] | None = self._split(term) if len(term) >= MIN_SPLIT_LENGTH else None
        if are_pairs_split and is_chinese(term) and len(term) == 2:
            pair = term
        return lambda field: [(self._term(field, one), 0.5) for one in pair] if pair and field in NAME_FIELDS else []

    def _fuzzy_matches(self, term: str, fields: Iterable[str]) -> dict[str, tantivy.Query]:
        """Queries for words with the fewest errors, by the fields that have some."""
        if len(term) < MIN_FUZZY_LENGTH or is_chinese(term):
            return {}
        for distance in (1, 2) if len(term) >= MIN_LENGTH_OF_TWO_ERRORS else (1,):
            queries = {field: tantivy.Query.fuzzy_term_query(self._schema, field, term, distance) for field in fields}
            found = {name: one for name, one in queries.items() if self._searcher.search(one, 1, count=False).hits}
            if found:
                return found
        return {}

    def _split(self, term: str) -> tuple[str, str] | None:
        """Two words of names that a term consists of."""
        for place in range(3, len(term) - 2):
            pair = term[:place], term[place:]
            if all(self.is_name_word(word) for word in pair):
                return pair
        return None

    def _term(self, field: str, value: str | int) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, field, value, "basic")


def _alternatives(queries: list[tantivy.Query]) -> tantivy.Query:
    return tantivy.Query.disjunction_max_query(queries, tie_breaker=ALSO)


def _query_terms(tokens: Sequence[str]) -> list[str]:
    """Terms to look up: words, and pairs of adjacent Chinese characters; a single one only if it has no neighbor."""
    terms: list[str] = []
    for place, token in enumerate(tokens):
        if not is_chinese(token):
            terms.append(token)
            continue
        before = place > 0 and is_chinese(tokens[place - 1])
        after = place + 1 < len(tokens) and is_chinese(tokens[place + 1])
        if after:
            terms.append(token + tokens[place + 1])
        elif not before:
            terms.append(token)
    return list(dict.fromkeys(terms))
