"""How lists differ: who finds what nobody else finds, how alike two channels are, and for whom each works.

Legend: C cases, K candidates. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.data import RecallCases
from training.evaluation import bootstrap, recall_metrics

HISTORY_EDGES = (0, 100, 1_000, 5_000, 20_000)
OVERLAP_AT = 50

Ints = NDArray[np.int64]


def overlap(lists: Mapping[str, Ints]) -> dict[str, dict[str, float]]:
    """For each pair, the share of the first list's first OVERLAP_AT items that the second's hold too, averaged over
    cases.
    """
    keys = {name: _keys(items_CK[:, :OVERLAP_AT]) for name, items_CK in lists.items()}
    return {
        one: {other: float(np.isin(keys[one], keys[other]).mean()) if len(keys[one]) else 0.0 for other in keys}
        for one in keys
    }


def unique_hits(lists: Mapping[str, Ints], cases: RecallCases) -> dict[str, dict[str, float]]:
    """For each list: `share`, the part of all hits (targets found by any) that it finds, and `unique`, what only it
    finds.
    """
    found = {}
    for name, items_CK in lists.items():
        hits_CK = recall_metrics.hits(items_CK, cases.items["targets"])
        found[name] = _keys(np.where(hits_CK, items_CK, 0))
    everything, finders = np.unique(np.concatenate(list(found.values())), return_counts=True)
    alone = everything[finders == 1]
    count = max(len(everything), 1)
    return {
        name: {"share": len(keys) / count, "unique": int(np.isin(keys, alone).sum()) / count}
        for name, keys in found.items()
    }


def by_history(values_C: NDArray[np.float64], cases: RecallCases) -> dict[str, list[float]]:
    """`{"0-99": [value, low, high]}`: a case's figure by how many plays its user had before it, users averaged within
    each.
    """
    result = {}
    for low, high in zip(HISTORY_EDGES, [*HISTORY_EDGES[1:], None], strict=True):
        rows = np.flatnonzero((cases.play_number_C >= low) & (cases.play_number_C < (high or np.inf)))
        if len(rows):
            users, user = np.unique(cases.user_C[rows], return_inverse=True)
            name = f"{low}-{high - 1}" if high else f"{low}+"
            result[name] = bootstrap.mean(recall_metrics.by_user(values_C[rows], user, len(users))).interval()
    return result


def _keys(items_CK: Ints) -> Ints:
    """One number for each (case, item), the same in every list of the same cases."""
    row, column = np.nonzero(items_CK)
    keys: Ints = items_CK[row, column] * np.int64(len(items_CK)) + row
    return keys
