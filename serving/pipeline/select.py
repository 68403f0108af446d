"""The tracks of the answer: the best, not all alike, no more than a few of one artist."""

from __future__ import annotations

import numpy as np

from training.data.catalog import Catalog
from training.slate.diversity import cap_tracks_per_artist, rerank_mmr


def select(items_C: np.ndarray, catalogue: Catalog, limit: int, per_artist: int) -> list[int]:
    """Places of at most `limit` items, in the order given, at most `per_artist` of one main artist."""
    places: list[int] = cap_tracks_per_artist(catalogue.main_artist_V[items_C], per_artist)[:limit].tolist()
    return places


def select_diverse(
    items_C: np.ndarray,
    scores_C: np.ndarray,
    catalogue: Catalog,
    limit: int,
    per_artist: int,
    strength: float,
    first: int,
) -> list[int]:
    """The same, but for tracks like those before them, which stand back; `first` items stand already, in their order."""
    artist_C = catalogue.main_artist_V[items_C]
    return rerank_mmr(scores_C, catalogue.facets.similarity(items_C), artist_C, limit, per_artist, strength, first)
