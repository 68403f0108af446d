"""Track search by words, the most played tracks first. Knows nothing about users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sequences.batch import FIRST_CODE
from training.slate.filters import FilterContext, apply_filters

if TYPE_CHECKING:
    from serving.releases.served_release import ServedRelease

MAX_SCANNED_TRACKS = 50_000
"""Number of most played tracks that a search scans, whatever the size of the catalog."""


@dataclass(frozen=True)
class SearchResult:
    """A playable track."""

    track_id: str
    title: str
    artists: list[str]


def search(words: str, limit: int, release: ServedRelease, context: FilterContext) -> list[SearchResult]:
    """At most `limit` tracks that pass the filters and whose title or artists contain every word (no words: any track)."""
    patterns = words.casefold().split()
    catalog, vocabulary = release.catalog, release.vocabulary
    # Items are numbered by decreasing play count.
    items = np.arange(FIRST_CODE, min(len(vocabulary), FIRST_CODE + MAX_SCANNED_TRACKS))
    results: list[SearchResult] = []
    for item in items[apply_filters(items, context)[0]].tolist():
        title, artists = catalog.titles_V[item], catalog.artist_names_V[item]
        text = " ".join([title, *artists]).casefold()
        if title and all(pattern in text for pattern in patterns):
            results.append(SearchResult(str(vocabulary.track_ids_V[item]), title, artists))
            if len(results) == limit:
                break
    return results
