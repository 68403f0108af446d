"""Tracks that a query names: by title, artist or album, or an artist within a longer query."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cache

from training.search.full_text_index import Document, Hit, TrackIndex
from training.search.name_similarity import NameMatch, match_name

MIN_SIMILARITY = 0.8
"""Similarity from which the whole query counts as a name."""
CONTENT_WEIGHT = 0.9
"""Weight of a similarity without the stop words of the query, which may be part of the name ("The Band")."""
ALBUM_WEIGHT = 0.95  # of two equal names, that of the track comes first
MIN_COVERED_NAME, MIN_COVERED_WORDS = 0.85, 2
"""An artist is named within a longer query if it has at least this share and number of its words, and they are adjacent."""


@dataclass(frozen=True)
class NamedTrack:
    """A track that the query names."""

    hit: Hit
    document: Document
    field: str  # title, artist or album
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
        track = NamedTrack(hit, document, field, similarity if is_whole else match.covered_name, words, is_whole)
        if best is None or (track.is_whole_query, track.similarity) > (best.is_whole_query, best.similarity):
            best = track
    return best


def _is_within(match: NameMatch) -> bool:
    places = match.positions
    is_adjacent = bool(places) and places[-1] - places[0] + 1 == len(places)
    return is_adjacent and match.covered_name >= MIN_COVERED_NAME and match.covered_words >= MIN_COVERED_WORDS
