"""Candidates for the title of a playlist, by the meaning of its words.

`TitleWords` compares the words of the title and pairs of them with facet values ("Cantonese", "rock", "night") by the
multilingual text encoder, and with the names of artists by their letters. `TitlePlaylists` finds playlists with a similar
title, as the title models of the RecSys Challenge 2018 do (Zamani, Schedl, Lamere, Chen, "An Analysis of Approaches Taken
in the ACM RecSys Challenge 2018", arXiv 1810.01520).

Legend: T texts, G parts of a title, D width of the text encoder, V vocabulary.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from training.content.facets import FACETS
from training.content.shared_text_encoder import encode_texts, text_encoder_version
from training.data.collections import Collections
from training.data.ragged import Ragged
from training.data.vocabulary import Vocabulary
from training.engine.workspace import write_json
from training.recall.channel import Candidates
from training.recall.continuation.source import top_k_items

MAX_TITLE_WORDS = 8  # of a title; further words are ignored, because encoding takes about 1 ms per part
MAX_NAME_WORDS = 4  # of an artist's name that a title may contain
MAX_PLAYLIST_TITLES = 10_000
"""Distinct titles of playlists in a release, the most opened first; bounds its size to 20 MB."""
MIN_COSINE = 0.62
"""Texts with a smaller cosine count as unrelated. Of 45 synonyms and translations of facet values, such as "gym" and "sport",
38 reach it; of words without a meaning for music that are not among STOP_WORDS, few do.
"""
CONTAINING_MARGIN = 0.1
STOP_WORDS = frozenset(
    (  # noqa: SIM905  # a list would take 50 lines
        "a all and best collection daily favorite favorites favourite favourites for from hits in liked love mix music my new of old "
        "playlist road song songs the to top vol with 最爱 歌单 精选 合集 音乐 歌曲 喜欢 每日 收藏 我的 的歌 首歌"
    ).split()
)
"""Words of titles that say nothing about the tracks, but are close to facet values ("music" to "light music")."""
MAX_TEXTS = 50
"""Texts that a title may match, the most similar first."""
VECTORS_FILE, TEXTS_FILE, ENCODER_FILE = "title_vectors.npy", "title_texts.parquet", "title_encoder.json"
# Runs of Chinese characters have no spaces: pairs of characters stand in for words.
CHINESE_RUN = re.compile("[\u3400-\u9fff]+")
WORD = re.compile(r"[\u3400-\u9fff]+|[^\W\d_\u3400-\u9fff][^\s_\u3400-\u9fff]*")

PUNCTUATION = ".,:;!?()[]{}<>\"'"

logger = logging.getLogger(__name__)


@lru_cache(maxsize=256)
def encode_title(parts: tuple[str, ...]) -> np.ndarray:
    """Vectors of the parts of a title [G, D]; cached, because the same title is continued again as its playlist grows."""
    return encode_texts(parts)


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

    def select(self, items_of: Mapping[str, np.ndarray]) -> EncodedLists:
        """The lists of the texts that have a vector."""
        row_of = {text: row for row, text in enumerate(self.texts)}
        known = [text for text in items_of if text in row_of]
        counts = [len(items_of[text]) for text in known]
        items = Ragged(
            np.concatenate([np.zeros(0, dtype=np.int64), *(items_of[text] for text in known)]),
            np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        )
        return EncodedLists(self.vector_TD[[row_of[text] for text in known]], items)


@dataclass(frozen=True, eq=False)
class EncodedLists:
    """Texts as vectors [T, D], and the items of each."""

    vector_TD: np.ndarray
    items: Ragged

    def add_similar(self, score_V: np.ndarray, vector_D: np.ndarray) -> None:
        """Add to each item the weights of its texts for a whole title: 0 at MIN_COSINE, 1 for an equal text."""
        weight_T = np.maximum((self.vector_TD @ vector_D - MIN_COSINE) / (1 - MIN_COSINE), 0) ** 2
        for text in np.argsort(-weight_T, kind="stable")[:MAX_TEXTS].tolist():
            score_V[self.items[text]] += weight_T[text]  # items of a text are distinct

    def add_nearest(self, score_V: np.ndarray, parts: Sequence[TitlePart], vector_GD: np.ndarray) -> None:
        """Add to each item the weights of its texts for the parts of a title: 1/2 at MIN_COSINE, 1 for an equal text.

        A part counts for its nearest text only. Of overlapping parts, the one that is nearest to a text counts; one that
        contains others must be nearer by CONTAINING_MARGIN, so that not one of two words decides for both.
        """
        if not len(self.vector_TD) or not len(parts):
            return
        cosine_GT = vector_GD @ self.vector_TD.T
        nearest_G, cosine_G = cosine_GT.argmax(1), cosine_GT.max(1)
        used: list[TitlePart] = []
        margin_G = [CONTAINING_MARGIN * any(part.contains(other) for other in parts) for part in parts]
        for place in np.argsort(margin_G - cosine_G, kind="stable").tolist():
            part = parts[place]
            if cosine_G[place] >= MIN_COSINE and not any(part.overlaps(other) for other in used):
                used.append(part)
                score_V[self.items[int(nearest_G[place])]] += 0.5 + 0.5 * (cosine_G[place] - MIN_COSINE) / (
                    1 - MIN_COSINE
                )


class TitleWords:
    """Tracks with facet values or artists that words of the title mean.

    Args:
        facets: Facet values with their tracks.
        items_of_artist: Name of an artist in lower case → items.
        is_servable_V: Which items may be candidates.
    """

    name = "title_words"

    def __init__(
        self, facets: EncodedLists, items_of_artist: Mapping[str, np.ndarray], is_servable_V: np.ndarray
    ) -> None:
        self._facets, self._items_of_artist, self._is_servable_V = facets, items_of_artist, is_servable_V

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Candidates:
        """See `ContinuationSource`; of the seeds, only their absence from the result."""
        parts = title_parts(title)
        if not parts:
            return Candidates.empty(k)
        score_V = np.zeros(len(self._is_servable_V))
        self._facets.add_nearest(score_V, parts, encode_title(tuple(part.text for part in parts)))
        for name in word_sequences(title.casefold().split(), MAX_NAME_WORDS):
            score_V[self._items_of_artist.get(name, [])] += 1
        return top_k_items(score_V * self._is_servable_V, items_S, k)


class TitlePlaylists:
    """Tracks of playlists with a similar title.

    Args:
        titles: Titles with the distinct tracks of their playlists.
        is_servable_V: Which items may be candidates.
    """

    name = "title_playlists"

    def __init__(self, titles: EncodedLists, is_servable_V: np.ndarray) -> None:
        self._titles, self._is_servable_V = titles, is_servable_V

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Candidates:
        """See `ContinuationSource`; of the seeds, only their absence from the result."""
        if not title.strip():
            return Candidates.empty(k)
        score_V = np.zeros(len(self._is_servable_V))
        self._titles.add_similar(score_V, encode_title((title,))[0])
        return top_k_items(score_V * self._is_servable_V, items_S, k)


@dataclass(frozen=True)
class TitlePart:
    """A part of a title, and where it begins and ends."""

    text: str
    start: int
    end: int

    def contains(self, other: TitlePart) -> bool:
        """Whether the other is a shorter part of this one."""
        return self != other and self.start <= other.start and other.end <= self.end

    def overlaps(self, other: TitlePart) -> bool:
        """Whether both have a character in common."""
        return self.start < other.end and other.start < self.end


def title_parts(title: str) -> list[TitlePart]:
    """Words of a title and pairs of neighboring words; Chinese text in runs and pairs of characters.

    STOP_WORDS are left out, and pairs of them.
    """
    matches = list(WORD.finditer(title))[:MAX_TITLE_WORDS]
    words = [TitlePart(match.group().rstrip(PUNCTUATION), match.start(), match.end()) for match in matches]
    parts: list[TitlePart] = []
    for word in words:
        parts.append(word)
        if CHINESE_RUN.fullmatch(word.text):
            starts = range(min(len(word.text) - 1, MAX_TITLE_WORDS))
            parts += [
                TitlePart(word.text[at : at + 2], word.start + at, word.start + at + 2)
                for at in starts
                if len(word.text) > 2
            ]
    parts += [TitlePart(f"{one.text} {other.text}", one.start, other.end) for one, other in pairwise(words)]
    return [part for part in parts if not STOP_WORDS.issuperset(part.text.casefold().split())]


def word_sequences(words: Sequence[str], longest: int) -> list[str]:
    """All sequences of 1 to `longest` neighboring words of the first MAX_TITLE_WORDS, joined by spaces, distinct."""
    words = words[:MAX_TITLE_WORDS]
    ranges = ((start, end) for start in range(len(words)) for end in range(start + 1, start + longest + 1))
    return list(dict.fromkeys(" ".join(words[start:end]) for start, end in ranges if end <= len(words)))


def facet_lists(tracks: pl.DataFrame, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """Facet value → its items, ascending.

    Args:
        tracks: Rows with `track_id` and list columns of the facets, of which any may be missing.
        vocabulary: Codes of the tracks.
    """
    item = pl.Series("item", vocabulary.encode(tracks["track_id"].to_list()))
    tables = [
        pl.DataFrame({"item": item, "value": tracks[name].cast(pl.List(pl.String))}).explode("value").drop_nulls()
        for name in FACETS
        if name in tracks.columns
    ]
    if not tables:
        return {}
    lists = pl.concat(tables).unique().sort("value", "item").group_by("value", maintain_order=True).agg("item")
    return {value: np.array(items, dtype=np.int64) for value, items in lists.iter_rows()}


def title_lists(playlists: Collections, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Title → distinct tracks of the playlists with this title, ascending; only of the given playlists."""
    parts: dict[str, list[np.ndarray]] = {}
    for number in numbers.tolist():
        title = str(playlists.titles_N[number]).strip()
        if title:
            parts.setdefault(title, []).append(playlists.tracks[number])
    return {title: np.unique(np.concatenate(tracks)) for title, tracks in parts.items()}


def artist_lists(vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """Name of an artist in lower case → the tracks of all artists with this name, ascending."""
    artist_V = vocabulary.artist_of_track_V
    order = np.argsort(artist_V, kind="stable")
    offset = np.searchsorted(artist_V[order], np.arange(len(vocabulary.artist_names_A) + 1))
    parts: dict[str, list[np.ndarray]] = {}
    for artist, name in enumerate(vocabulary.artist_names_A.tolist()):
        words = " ".join(str(name or "").casefold().split())
        tracks = order[offset[artist] : offset[artist + 1]]
        if words and len(tracks):
            parts.setdefault(words, []).append(tracks)
    return {name: np.sort(np.concatenate(tracks)) for name, tracks in parts.items()}
