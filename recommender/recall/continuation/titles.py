"""Candidates for the title of a playlist.

`TitleWords` reads the title as a search query ("Cantonese rock for the night", "no rap") and finds tracks with these facet
values, and of artists that it names. `TitlePlaylists` finds playlists with a similar title, as the title models of the RecSys
Challenge 2018 do (Zamani, Schedl, Lamere, Chen, "An Analysis of Approaches Taken in the ACM RecSys Challenge 2018", arXiv
1810.01520). To playlists with seeds both add only tracks that have a style and a language of the seeds.

Legend: T texts, D width of the text encoder, S seeds, V vocabulary.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from content.encoders.text import encode_texts, text_encoder_version
from recommender.array_types import Ints
from recommender.catalog.arrays import Ragged
from recommender.catalog.collections import Collections
from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.channel import pad_rows
from recommender.recall.continuation.source import ContinuationSource, top_k_items
from recommender.search.grammar import FACET_WEIGHTS, FacetValue
from recommender.search.query_parser import REQUIRED_FACETS, QueryParser
from recommender.search.text_normalization import normalize, tokens
from recommender.user.exclusions import NO_ITEMS
from storage.files import write_json

MAX_NAME_WORDS = 4  # of an artist's name that a title may contain
MAX_PLAYLIST_TITLES = 10_000
"""Distinct titles of playlists in a release, the most opened first; bounds its size to 20 MB."""
MIN_COSINE = 0.62
"""Titles with a smaller cosine count as unrelated."""
MAX_TEXTS = 50
"""Texts that a title may match, the most similar first."""
KEPT_TITLES = 256
"""Titles whose reading is kept: the same title is continued again as its playlist grows."""
COMPLETE = 100.0
"""Tracks with the styles and languages that a title names come before all others."""
VECTORS_FILE, TEXTS_FILE, ENCODER_FILE = "title_vectors.npy", "title_texts.parquet", "title_encoder.json"

logger = logging.getLogger(__name__)


@lru_cache(maxsize=KEPT_TITLES)
def encode_title(title: str) -> np.ndarray:
    """Vector of a title [D]."""
    return encode_texts((title,))[0]


@dataclass(frozen=True, eq=False)
class TextVectors:
    """Encoded texts, so that loading a release encodes nothing."""

    texts: tuple[str, ...]
    vector_TD: np.ndarray
    encoder: str  # version of the text encoder

    @classmethod
    def encode(cls, texts: Sequence[str]) -> Self:
        """Encode distinct texts."""
        distinct = tuple(dict.fromkeys(text for text in texts if text.strip()))
        return cls(distinct, encode_texts(distinct), text_encoder_version())

    def save(self, folder: Path) -> None:
        """Write the texts as Parquet, the vectors as one array and the version as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"text": self.texts}, schema={"text": pl.String}).write_parquet(folder / TEXTS_FILE)
        np.save(folder / VECTORS_FILE, self.vector_TD, allow_pickle=False)
        write_json(folder / ENCODER_FILE, {"version": self.encoder})

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The vectors that `save` wrote; None if there are none, or if another version of the encoder wrote them."""
        if not (folder / ENCODER_FILE).exists():
            return None
        version = json.loads((folder / ENCODER_FILE).read_text())["version"]
        if version != text_encoder_version():
            logger.warning(
                "titles in %s were encoded by %s, not %s; playlists are continued without their titles until the next "
                "release",
                *(folder, version, text_encoder_version()),
            )
            return None
        texts = tuple(pl.read_parquet(folder / TEXTS_FILE)["text"].to_list())
        return cls(texts, np.load(folder / VECTORS_FILE, allow_pickle=False), version)

    def select(self, items_of: Mapping[str, np.ndarray]) -> tuple[np.ndarray, Ragged]:
        """The vectors [T, D] of the texts that have one, and the items of each."""
        row_of = {text: row for row, text in enumerate(self.texts)}
        known = [text for text in items_of if text in row_of]
        return self.vector_TD[[row_of[text] for text in known]], Ragged.of_lists([items_of[text] for text in known])


class FacetTracks:
    """Tracks by facet value.

    Args:
        items_of: Facet value → its items, ascending.
        V: Size of the vocabulary.
    """

    def __init__(self, items_of: Mapping[FacetValue, np.ndarray], V: int) -> None:
        self._items_of, self._V = items_of, V

    def weigh(self, weights: Mapping[FacetValue, float]) -> np.ndarray:
        """The greatest weight of each track's values, [V]."""
        score_V = np.zeros(self._V)
        for value, weight in weights.items():
            if (items := self._items_of.get(value)) is not None:
                score_V[items] = np.maximum(score_V[items], weight)
        return score_V

    def having(self, values: Collection[FacetValue]) -> np.ndarray:
        """Which tracks have one of the values, bool [V]."""
        return self.weigh(dict.fromkeys(values, 1.0)) > 0

    def like(self, items_S: np.ndarray) -> np.ndarray:
        """Which tracks have a style and a language of the seeds, bool [V]; all, where seeds have none."""
        is_like_V = np.ones(self._V, dtype=bool)
        for facet in REQUIRED_FACETS:
            values = [value for value in self._items_of if value[0] == facet and self._has(value, items_S).any()]
            if values:
                is_like_V &= self.having(values)
        return is_like_V

    def most(self, values: Collection[FacetValue], items_S: np.ndarray) -> frozenset[FacetValue]:
        """Those of the values that most seeds have."""
        return frozenset(value for value in values if 2 * self._has(value, items_S).sum() > len(items_S))

    def _has(self, value: FacetValue, items_S: np.ndarray) -> np.ndarray:
        """Which of the items have the value, bool [S]."""
        items = self._items_of.get(value, NO_ITEMS)
        return np.append(items, -1)[np.searchsorted(items, items_S)] == items_S


def find_artists(
    items_of: Mapping[str, np.ndarray], words: Sequence[str], content: Sequence[str], _: frozenset[str]
) -> list[np.ndarray]:
    """The tracks of each artist that the words name, see `query_parser.FindNames`; `items_of` as of `artist_lists`."""
    sequences = dict.fromkeys(
        " ".join(words[start : start + count])
        for count in range(1, MAX_NAME_WORDS + 1)
        for start in range(len(words))
        if content or count == len(words)
    )
    return [items_of[name] for name in sequences if name in items_of]


class TitleWords:
    """Tracks with facet values or artists that words of the title mean.

    Args:
        parser: Reads titles.
        facets: Tracks by facet value.
        artists: Tracks by the name of their artist, see `artist_lists`.
        is_servable_V: Which items may be candidates.
    """

    name = "title_words"

    def __init__(
        self, parser: QueryParser, facets: FacetTracks, artists: Mapping[str, np.ndarray], is_servable_V: np.ndarray
    ) -> None:
        self._facets, self._is_servable_V = facets, is_servable_V
        names = artists.__contains__, partial(find_artists, artists)
        self._read = lru_cache(KEPT_TITLES)(lambda title: parser.parse(title, *names))

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Ints:
        """See `ContinuationSource`."""
        query = self._read(title)
        if not (query.wanted or query.unwanted or query.names):
            return pad_rows([NO_ITEMS], k)
        score_V = np.full(len(self._is_servable_V), 0.0 if query.wanted or query.names else 1.0)
        for concept in query.wanted:
            score_V += self._facets.weigh(
                {value: weight * FACET_WEIGHTS.get(value[0], 1.0) for value, weight in concept.weights.items()}
            )
        for items in query.names:
            score_V[items] += 1
        is_complete_V = (score_V > 0) & ~self._facets.having(query.opposite_values)
        for values in query.required:
            is_complete_V &= self._facets.having(values)
        score_V[is_complete_V] += COMPLETE
        is_kept_V = self._is_servable_V & ~self._facets.having(query.unwanted_values)
        return top_k_items(score_V * (is_kept_V & self._facets.like(items_S)), items_S, k)

    def unwanted(self, items_S: np.ndarray, title: str) -> np.ndarray | None:
        """Which tracks have values that the title does not want and most seeds do not have, bool [V]; None: no track."""
        values = self._read(title).unwanted_values if title else frozenset()
        values -= self._facets.most(values, items_S)
        return self._facets.having(values) if values else None


class TitlePlaylists:
    """Tracks of playlists with a similar title.

    Args:
        titles: Vectors of titles, and the distinct tracks of their playlists.
        facets: Tracks by facet value.
        is_servable_V: Which items may be candidates.
    """

    name = "title_playlists"

    def __init__(self, titles: tuple[np.ndarray, Ragged], facets: FacetTracks, is_servable_V: np.ndarray) -> None:
        (self._vector_TD, self._items), self._facets, self._is_servable_V = titles, facets, is_servable_V

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Ints:
        """See `ContinuationSource`."""
        if not title.strip():
            return pad_rows([NO_ITEMS], k)
        score_V = np.zeros(len(self._is_servable_V))
        # The weight of a title is 0 at MIN_COSINE, and 1 if it is equal.
        weight_T = np.maximum((self._vector_TD @ encode_title(title) - MIN_COSINE) / (1 - MIN_COSINE), 0) ** 2
        for text in np.argsort(-weight_T, kind="stable")[:MAX_TEXTS].tolist():
            score_V[self._items[text]] += weight_T[text]  # the tracks of a title are distinct
        return top_k_items(score_V * (self._is_servable_V & self._facets.like(items_S)), items_S, k)


class WithoutUnwanted:
    """A source without the tracks that the title does not want ("no rap")."""

    def __init__(self, source: ContinuationSource, words: TitleWords) -> None:
        self._source, self._words = source, words

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Ints:
        """See `ContinuationSource`."""
        found = self._source.continue_playlist(items_S, title, k)
        is_unwanted_V = self._words.unwanted(items_S, title)
        if is_unwanted_V is None:
            return found
        return pad_rows([found[~is_unwanted_V[found]]], k)


def title_lists(playlists: Collections, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Title → distinct tracks of the playlists with this title, ascending; only of the given playlists."""
    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    for number in numbers.tolist():
        parts[str(playlists.titles_N[number]).strip()].append(playlists.tracks[number])
    return {title: np.unique(np.concatenate(tracks)) for title, tracks in parts.items() if title}


def artist_lists(vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """Tokens of an artist's name, joined by spaces → the tracks of all artists with this name, ascending."""
    words_A = [" ".join(tokens(normalize(name))) for name in vocabulary.artist_names_A.tolist()]
    items_of: dict[str, list[int]] = defaultdict(list)
    for item, artist in enumerate(vocabulary.artist_of_track_V.tolist()):
        items_of[words_A[artist]].append(item)
    return {words: np.array(items, dtype=np.int64) for words, items in items_of.items() if words}
