"""Reads a query or the title of a playlist: what is wanted, what is not, names, and what was not understood.

text → periods → phrases of facet values and negations → names → meaning of what is left
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from content import FACETS
from recommender.search.grammar import Concept, FacetValue, opposites
from recommender.search.lexicon import FacetPhrase, Lexicon, phrases_of
from recommender.search.phrase_similarity import Encode, MeaningMatcher
from recommender.search.reading import Reading
from recommender.search.release_period import Period, read_periods
from recommender.search.text_normalization import is_chinese, join, normalize, tokens

VECTORS_FILE, CONFIG_FILE = "phrases.npy", "search.json"
REQUIRED_FACETS = frozenset({"languages", "styles"})
"""Facets of which a track must have a value that the query names, if enough tracks do."""
MAX_FACET_VALUES = 1_000
"""Facet values, most frequent first, that queries can name; the others are not understood."""
MAX_TOKENS = 16
"""Further words of a query do not search names; the time of a request grows with their number."""
MAX_SPANS = 8
SPAN_WEIGHT = 0.5
"""Of the meaning of words between phrases that were understood."""
_WORD = re.compile(r"[^\W_]+")

FindNames = Callable[[Sequence[str], Sequence[str], frozenset[str]], Sequence[Any]]
"""Finds names in a query: its tokens, the tokens that may be a name (none: only the whole query may be one), and the tokens that
are spelled right ▸ what they name."""


@dataclass(frozen=True)
class Query:
    """What a text asks for."""

    wanted: Sequence[Concept] = ()
    unwanted: Sequence[Concept] = ()
    periods: Sequence[Period] = ()
    unwanted_periods: Sequence[Period] = ()
    names: Sequence[Any] = ()  # as FindNames returns them
    unread: Sequence[str] = ()  # tokens that stand for nothing else; they may be in names or texts
    unknown: Sequence[str] = ()  # phrases that were not understood, in order
    content: str = ""  # the text without words of the grammar, negated ones and periods
    empty_periods: Sequence[Period] = ()  # in which no track was released; none of `periods`

    @property
    def is_understood(self) -> bool:
        """Whether any part has a meaning."""
        return bool(self.wanted or self.unwanted or self.periods or self.unwanted_periods)

    @property
    def is_name(self) -> bool:
        """Whether the query is a name and has no other meaning."""
        return bool(self.names) and self.names[0].is_whole_query and not (self.is_understood and not self.unread)

    @property
    def unwanted_values(self) -> frozenset[FacetValue]:
        """Values that a track must not have."""
        return frozenset(value for concept in self.unwanted for value in concept.weights)

    @property
    def opposite_values(self) -> frozenset[FacetValue]:
        """Opposites of the values that are wanted, which are not wanted if enough tracks have none."""
        wanted = {value for concept in self.wanted for value in concept.weights}
        return frozenset(other for value in wanted for other in opposites().get(value, ())) - wanted

    @property
    def required(self) -> list[frozenset[FacetValue]]:
        """Values of REQUIRED_FACETS that are named: a track must have one of each set if enough tracks do."""
        sets: dict[frozenset[str], frozenset[FacetValue]] = {}
        for named in (concept.named for concept in self.wanted):
            facets = frozenset(facet for facet, _ in named)
            if facets and facets <= REQUIRED_FACETS:
                sets[facets] = sets.get(facets, frozenset()) | named
        return list(sets.values())


class QueryParser:
    """Reads texts with the phrases of a catalog's facet values.

    Args:
        phrases: P phrases.
        vector_PD: Their embeddings.
        newest: Newest day of release in the catalog; "new" is relative to it.
        encode: Embeds texts with the encoder of `vector_PD`; None: nothing is understood by meaning.
    """

    def __init__(
        self,
        phrases: Sequence[FacetPhrase],
        vector_PD: NDArray[np.float32],
        newest: date | None,
        encode: Encode | None,
    ) -> None:
        self._phrases, self._vector_PD, self._newest, self.encode = phrases, vector_PD, newest, encode
        self._lexicon = Lexicon(phrases)
        self._meaning = MeaningMatcher(phrases, vector_PD, encode) if encode else None

    @classmethod
    def of(cls, tracks: pl.DataFrame, encode: Encode) -> Self:
        """For a table with facets and `released_on`, of which any may be missing."""
        phrases = phrases_of(_frequent_values(tracks))
        vector_PD = encode([phrase.text for phrase in phrases]) if phrases else np.zeros((0, 1), dtype=np.float32)
        newest = tracks["released_on"].max() if "released_on" in tracks.columns else None
        return cls(phrases, vector_PD, newest if isinstance(newest, date) else None, encode)

    def save(self, folder: Path, encoder_version: str) -> None:
        """Write the phrases and their embeddings."""
        np.save(folder / VECTORS_FILE, self._vector_PD.astype(np.float16), allow_pickle=False)
        config = {
            "encoder": encoder_version,
            "newest": self._newest.isoformat() if self._newest else None,
            "phrases": [[*phrase.value, phrase.text, phrase.weight, phrase.language] for phrase in self._phrases],
        }
        (folder / CONFIG_FILE).write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, encode: Encode | None, encoder_version: str) -> Self:
        """Read what `save` wrote; without an encoder of the same version nothing is understood by meaning."""
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        return cls(
            [FacetPhrase((facet, value), *rest) for facet, value, *rest in config["phrases"]],
            np.load(folder / VECTORS_FILE, allow_pickle=False).astype(np.float32),
            date.fromisoformat(config["newest"]) if config["newest"] else None,
            encode if config["encoder"] == encoder_version else None,
        )

    def parse(
        self,
        text: str,
        is_name_word: Callable[[str], bool] = lambda _: False,
        find_names: FindNames = lambda *_: (),
        today: date = date.max,
    ) -> Query:
        """What the text asks for.

        Args:
            text: Words of any kind.
            is_name_word: Whether a token occurs in a name of the catalog.
            find_names: Finds the names that it may have.
            today: The day that "new" and "last year" refer to, if the catalog has no older newest track.
        """
        written, text = text, normalize(text)
        periods, rest = read_periods(text, min(today, self._newest or date(9999, 1, 1)))
        reading = self._lexicon.read(rest, is_name_word)
        whole = self._lexicon.read(text, is_name_word) if periods else reading
        words = tokens(text)[:MAX_TOKENS]
        refuses = bool(whole.unwanted or reading.refused_periods)
        unread = [token for run in reading.unread for token in run][:MAX_TOKENS]
        exact = {word for word in words if word in self._lexicon}
        exact |= {word for word in set(reading.content).difference(unread) if is_chinese(word)}
        content = whole.content or ([] if refuses else words)
        found = find_names(words, content[:MAX_TOKENS], frozenset(exact))
        kept, refused = (
            [period for number, period in enumerate(periods) if (number in reading.refused_periods) == is_refused]
            for is_refused in (False, True)
        )
        read = Query(reading.wanted, reading.unwanted, kept, refused, found, unread, content=join(reading.content))
        if found:
            return read
        if not (periods or refuses or reading.wanted or unread or reading.refused):
            return replace(read, unread=words, unknown=[written.strip()] if written.strip() else [])
        query = self._add_meaning(read, reading)
        return replace(query, unknown=[_as_written(run, written) for run in query.unknown])

    def _add_meaning(self, query: Query, reading: Reading) -> Query:
        """With the concepts of words that no phrase covers; of the whole text, if nothing else is wanted."""
        is_whole = bool(reading.unread) and not (query.wanted or query.unwanted)
        runs, refused = ([join(run) for run in found][:MAX_SPANS] for found in (reading.unread, reading.refused))
        known = {value for concept in (*query.wanted, *query.unwanted) for value in concept.weights}
        wanted = self._match([query.content] if is_whole else runs)
        unwanted = self._match(refused)
        opposite = {other for value in known for other in opposites().get(value, ())}
        certain = {one.words for one, is_certain in wanted if is_certain and not opposite & one.weights.keys()}
        refusals = [one for one, is_certain in unwanted if is_certain and not known & one.weights.keys()]
        understood = certain | {one.words for one in refusals}
        is_understood = is_whole and query.content in understood
        wishes = [
            one.scaled(1.0 if is_whole else SPAN_WEIGHT)
            for one, _ in wanted
            if one.words in certain and not known & one.weights.keys()
        ]
        return replace(
            query,
            wanted=[*query.wanted, *wishes],
            unwanted=[*query.unwanted, *refusals],
            unknown=[run for run in (*(() if is_understood else runs), *refused) if run not in understood],
        )

    def _match(self, texts: Sequence[str]) -> list[tuple[Concept, bool]]:
        return self._meaning.match(texts) if self._meaning else []


def _as_written(run: str, written: str) -> str:
    """Words of a normalized text as the user wrote them."""
    spelling = {normalize(word): word for word in (*_WORD.findall(written), *written)}
    return join([spelling.get(token, token) for token in tokens(run)])


def _frequent_values(tracks: pl.DataFrame) -> list[FacetValue]:
    """The facet values of the tracks, most frequent first."""
    counts: list[tuple[int, FacetValue]] = []
    for facet in FACETS:
        if facet in tracks.columns:
            values = tracks[facet].cast(pl.List(pl.String)).explode().drop_nulls().value_counts()
            counts += [(count, (facet, value)) for value, count in values.iter_rows() if value]
    return [value for _, value in sorted(counts, key=lambda one: (-one[0], one[1]))][:MAX_FACET_VALUES]
