"""The tracks of the answer: the best first, no more than a few of one artist."""

from __future__ import annotations

from collections import Counter

import numpy as np

from serving.catalogue import Catalogue


def select(items_C: np.ndarray, catalogue: Catalogue, limit: int, per_artist: int) -> list[int]:
    """Places of at most `limit` items, in the order given, at most `per_artist` of one main artist.

    Tracks without a known artist are not capped: that nobody knows two artists does not make them one.
    """
    taken: list[int] = []
    of_artist: Counter[int] = Counter()
    for place, item in enumerate(items_C.tolist()):
        if len(taken) == limit:
            break
        artist = catalogue.main_artist(item)
        if artist >= 0 and of_artist[artist] >= per_artist:
            continue
        of_artist[artist] += 1
        taken.append(place)
    return taken
