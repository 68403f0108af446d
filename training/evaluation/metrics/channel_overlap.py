"""What the channels' lists have in common: overlap, and hits that only one of them has.

Legend: C cases, K candidates.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recommender.catalog.arrays import Ragged
from training.data.recall_cases import RecallCases

OVERLAP_AT = 50

Ints = NDArray[np.int64]


def overlap(lists: Mapping[str, Ints]) -> dict[str, dict[str, float]]:
    """Share of the first OVERLAP_AT items that two lists have in common, by pair of lists."""
    first = {name: items_CK[:, :OVERLAP_AT] for name, items_CK in lists.items()}
    items = {
        name: Ragged.of(items_CK[items_CK > 0], np.nonzero(items_CK)[0], len(items_CK))
        for name, items_CK in first.items()
    }
    return {
        name: {
            other: float(items[other].contains(items_CK).sum() / max(np.count_nonzero(items_CK), 1)) for other in items
        }
        for name, items_CK in first.items()
    }


def unique_hits(lists: Mapping[str, Ints], cases: RecallCases) -> dict[str, dict[str, float]]:
    """Fraction of all hits (targets found by any list) that each list finds (`share`) and that only it finds
    (`unique`).
    """
    hit_keys = {}
    for name, items_CK in lists.items():
        row, column = np.nonzero(cases.items["targets"].contains(items_CK) & (items_CK > 0))
        hit_keys[name] = items_CK[row, column] * np.int64(len(cases)) + row
    all_hits, finders = np.unique(np.concatenate(list(hit_keys.values())), return_counts=True)
    unique = all_hits[finders == 1]
    count = max(len(all_hits), 1)
    return {
        name: {"share": len(keys) / count, "unique": int(np.isin(keys, unique).sum()) / count}
        for name, keys in hit_keys.items()
    }
