"""Tracks that a query names: by title, artist or album, or an artist within a longer query.

Similarity of a query to names, with typing errors.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from recommender.search.full_text_index import Document, Hit, TrackIndex
from recommender.search.text_normalization import is_chinese, normalize, tokens

MIN_SIMILARITY = 0.8
"""Similarity from which the whole query counts as a name."""
CONTENT_WEIGHT = 0.9
"""Weight of a similarity without the stop words of the query, which may be part of the name ("The Band")."""
ALBUM_WEIGHT = 0.95  # of two equal names, the track comes first
MIN_COVERED_NAME, MIN_COVERED_WORDS = 0.85, 2
"""An artist is named within a longer query if it has at least this share and number of its words, and they are adjacent."""


MIN_TOKEN_SIMILARITY = 0.7
MIN_CORRECTED_LENGTH = 4
ERROR_COST = 0.6
"""Share of the cost of a missing word that a word with errors in all letters would have."""
MIN_JOINED_SIMILARITY, MIN_JOINED_LENGTH = 0.85, 6
MIN_CHARACTERS, WRONG_CHARACTER_SIMILARITY = 3, 0.9
"""Least length of a name in Chinese characters of which one may be wrong, and its similarity."""
MINOR_WEIGHT = 0.1
MINOR_WORDS = frozenset(
    {"the", "a", "an", "no", "feat", "ft", "live", "remix", "version", "remaster", "remastered", "edit"}
)
"""Words that names with the same meaning may lack."""


@dataclass(frozen=True)
class NamedTrack:
    """A track that the query names."""

    hit: Hit
    document: Document
    field: str  # title, artist or album
    name: str
    similarity: float  # 0..1
    words: frozenset[str]  # tokens of the query that are the name
    is_whole_query: bool  # whether the query is only the name


def find_named_tracks(
    index: TrackIndex, tokens: Sequence[str], content: Sequence[str], exact: Container[str], limit: int
) -> list[NamedTrack]:
    """Tracks that the query names, the whole query if possible, else the artist within it.

    Args:
        index: Index of the tracks.
        tokens: Tokens of the query.
        content: Those that may be a name; none: only the whole query may be one, without errors.
        exact: Tokens without typing errors.
        limit: Number of candidates.
    """
    kept = set(content)
    extended = [one for one in tokens if not content or one in kept or index.is_name_word(one)] or list(tokens)
    least = MIN_SIMILARITY if content else 1.0

    @cache  # many tracks have the same artist or album
    def compare(name: str) -> tuple[NameMatch, float]:
        match = match_name(extended, name, exact)
        if not content or len(content) >= len(extended):
            return match, match.similarity
        return match, max(match.similarity, CONTENT_WEIGHT * match_name(content, name, exact).similarity)

    named = []
    for hit in index.find_names(list(dict.fromkeys(extended)), limit):
        if track := _name(hit, index.document(hit), extended, compare, least):
            named.append(track)
    return [track for track in named if track.is_whole_query] or named


def _name(
    hit: Hit,
    document: Document,
    extended: Sequence[str],
    compare: Callable[[str], tuple[NameMatch, float]],
    least: float,
) -> NamedTrack | None:
    names = [("title", document.title), *(("artist", artist) for artist in document.artists), ("album", document.album)]
    names += [("title", f"{document.title} {artist}") for artist in document.artists[:1] if document.title]
    best: NamedTrack | None = None
    for field, name in names:
        match, similarity = compare(name)
        is_whole = similarity >= least
        similarity *= ALBUM_WEIGHT if field == "album" else 1.0
        if not is_whole and not (field == "artist" and least < 1 and _is_within(match)):
            continue
        words = frozenset(extended[place] for place in match.positions)
        track = NamedTrack(hit, document, field, name, similarity if is_whole else match.covered_name, words, is_whole)
        if best is None or (track.is_whole_query, track.similarity) > (best.is_whole_query, best.similarity):
            best = track
    return best


def _is_within(match: NameMatch) -> bool:
    places = match.positions
    is_adjacent = bool(places) and places[-1] - places[0] + 1 == len(places)
    return is_adjacent and match.covered_name >= MIN_COVERED_NAME and match.covered_words >= MIN_COVERED_WORDS


@dataclass(frozen=True)
class NameMatch:
    """Similarity of a query and a name."""

    similarity: float  # 0..1; 1: the query is the name
    covered_name: float  # 0..1; share of the name that is in the query
    covered_words: int  # words of the name that are in the query, but for minor ones
    positions: tuple[int, ...]  # of the tokens of the query that are in the name


def match_name(query: Sequence[str], name: str, exact: Container[str] = frozenset()) -> NameMatch:
    """Compare the tokens of a query with a name.

    The share of the query that the name has counts fully, the share of the name that the query has counts half: a query
    may be the beginning of a name.

    Args:
        query: Tokens of the query.
        name: A title or the name of an artist.
        exact: Tokens without typing errors.
    """
    words = _name_tokens(name)
    if not query or not words:
        return NameMatch(0.0, 0.0, 0, ())
    similarity = [[_token_similarity(token, word, exact) for word in words] for token in query]
    in_query = [max(row) for row in similarity]
    in_name = [max(column) for column in zip(*similarity, strict=True)]
    covered = _weighted(words, in_name)
    return NameMatch(
        similarity=max(
            _weighted(query, in_query) * (0.5 + 0.5 * covered),
            _joined_similarity(query, words),
            _characters_similarity(query, words, exact),
        ),
        covered_name=covered,
        covered_words=sum(one > 0 and not _is_minor(word) for word, one in zip(words, in_name, strict=True)),
        positions=tuple(place for place, one in enumerate(in_query) if one > 0),
    )


def _joined_similarity(query: Sequence[str], words: Sequence[str]) -> float:
    """Similarity without spaces: "silvercity" is "silver city"."""
    name = "".join(word for word in words if not _is_minor(word))
    text = "".join(query)
    if len(query) == len(words) or min(len(name), len(text)) < MIN_JOINED_LENGTH:
        return 0.0
    return OSA.normalized_similarity(text, name, score_cutoff=MIN_JOINED_SIMILARITY)


def _characters_similarity(query: Sequence[str], words: Sequence[str], exact: Container[str]) -> float:
    """Similarity of names in Chinese characters, of which one may be wrong: 周杰轮 is 周杰伦."""
    if len(query) != len(words) or len(words) < MIN_CHARACTERS or not all(map(is_chinese, (*query, *words))):
        return 0.0
    wrong = [character for character, word in zip(query, words, strict=True) if character != word]
    return WRONG_CHARACTER_SIMILARITY if len(wrong) == 1 and wrong[0] not in exact else 0.0


def _weighted(words: Sequence[str], similarities: Sequence[float]) -> float:
    weights = _weights(tuple(words))
    return sum(weight * one for weight, one in zip(weights, similarities, strict=True)) / sum(weights)


@lru_cache(maxsize=10_000)
def _weights(words: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(MINOR_WEIGHT if _is_minor(word) else 1.0 for word in words)


def _is_minor(word: str) -> bool:
    return word in MINOR_WORDS or word.isdigit()


def _token_similarity(token: str, word: str, exact: Container[str]) -> float:
    if token == word:
        return 1.0
    return 0.0 if token in exact else _misspelled_similarity(token, word)


@lru_cache(maxsize=50_000)  # names have many words in common
def _misspelled_similarity(token: str, word: str) -> float:
    if min(len(token), len(word)) < MIN_CORRECTED_LENGTH or is_chinese(token) or is_chinese(word):
        return 0.0
    similarity = OSA.normalized_similarity(token, word, score_cutoff=MIN_TOKEN_SIMILARITY)
    return 1 - ERROR_COST * (1 - similarity) if similarity else 0.0


def best_names(text: str, content: str, names: Mapping[str, str], most: int) -> list[str]:
    """Keys of at most `most` names that have all words of a query, or are as similar to it as MIN_SIMILARITY.

    Equal names come first, then those with the query at the beginning of a word, and then the most similar ones.

    Args:
        text: The query.
        content: The query without words that are not about names.
        names: Names by key as `normalize_name` returns them, the most popular ones first.
        most: Number of names.
    """
    whole, words = normalize_name(text), normalize_name(content)
    similar = process.extract(
        words, names, scorer=fuzz.token_set_ratio, score_cutoff=100 * MIN_SIMILARITY, limit=len(names)
    )
    similarity = {key: score for _, score, key in similar}
    begins = {key for key, name in names.items() if words and f" {words}" in f" {name}"}
    found = [key for key in names if key in begins or key in similarity]
    return sorted(found, key=lambda key: (names[key] != whole, key not in begins, -similarity.get(key, 0)))[:most]


def normalize_name(name: str) -> str:
    """The tokens of a name, separated by spaces."""
    return " ".join(_name_tokens(name))


@lru_cache(maxsize=50_000)
def _name_tokens(name: str) -> tuple[str, ...]:
    return tuple(tokens(normalize(name)))
