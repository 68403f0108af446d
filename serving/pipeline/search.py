"""Tracks by words, for a person who looks for a song: the most played first. Knows nothing about the listener."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sequences.batch import FIRST_CODE
from serving.releases.served_release import ServedRelease
from training.slate.filters import FilterContext, apply_filters

MAX_SCANNED_TRACKS = 50_000
"""The most played tracks, which a search looks through: bounded work whatever the catalogue."""


@dataclass(frozen=True)
class SearchResult:
    """A track that may be served now."""

    track_id: str
    title: str
    artists: list[str]


def search(words: str, limit: int, release: ServedRelease, shown: FilterContext) -> list[SearchResult]:
    """At most `limit` tracks that may be `shown` and whose title or artists hold every one of `words` (none: any track)."""
    wanted = words.casefold().split()
    catalogue, vocabulary = release.catalog, release.vocabulary
    # The vocabulary is numbered by plays.
    items = np.arange(FIRST_CODE, min(len(vocabulary), FIRST_CODE + MAX_SCANNED_TRACKS))
    found: list[SearchResult] = []
    for item in items[apply_filters(items, shown)[0]].tolist():
        title, artists = catalogue.titles_V[item], catalogue.artist_names_V[item]
        text = " ".join([title, *artists]).casefold()
        if title and all(word in text for word in wanted):
            found.append(SearchResult(str(vocabulary.track_ids_V[item]), title, artists))
            if len(found) == limit:
                break
    return found
