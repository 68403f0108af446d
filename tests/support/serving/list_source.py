"""Candidate source of playlists or mlogs with a fixed list."""

from __future__ import annotations

import numpy as np

from recommender.catalog.arrays import Ragged
from recommender.catalog.collections import Collections
from recommender.recall.channel import CandidateSource, pad_rows
from recommender.recall.reason import Reason


class ListSource(CandidateSource):
    """Finds fixed collections for every user, `found[0]` best; `held` are the items of each, by number from 2."""

    feature_service = "recommender"

    def __init__(self, kind: str, held: list[list[int]], found: list[int], is_failing=False):
        self.kind, self.name, self.found, self.is_failing = kind, f"{kind}s", found, is_failing
        ids = np.array(["", "", *[f"{kind[0]}{number}" for number in range(2, len(held) + 2)]], dtype=object)
        offset = np.cumsum([0, 0, 0, *(len(items) for items in held)])
        tracks = Ragged(np.array([item for one in held for item in one], dtype=np.int64), offset)
        self.collections = Collections(kind, ids, ids, tracks, np.zeros(len(ids), dtype=np.int64))

    def recall(self, users, k):
        if self.is_failing:
            raise RuntimeError("out of order")
        return pad_rows([np.array(self.found)], k)

    def reasons(self, user, items):
        return [Reason("fits_title", {"title": str(self.collections.ids_N[item])}) for item in items]
