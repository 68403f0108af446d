"""Comparison of recommended lists: overlap, unique hits, and recall by history length and scene.

Legend: C cases, K candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.ragged import Ragged
from training.data.recall_cases import RecallCases
from training.evaluation.metrics import recall_metrics

HISTORY_EDGES = (0, 100, 1_000, 5_000, 20_000)  # plays before the session
OVERLAP_AT = 50
SCENE_METRICS, SCENE_PARTS = ("recall_at_50", "recall_at_200"), ("all", "reachable")

Ints = NDArray[np.int64]


def overlap(lists: Mapping[str, Ints]) -> dict[str, dict[str, float]]:
    """Fraction of the first OVERLAP_AT items of one list that are also among those of the other, by pair of lists."""
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
        hits_CK = cases.items["targets"].contains(items_CK)
        hit_keys[name] = _case_item_keys(np.where(hits_CK, items_CK, 0))
    all_hits, finders = np.unique(np.concatenate(list(hit_keys.values())), return_counts=True)
    unique = all_hits[finders == 1]
    count = max(len(all_hits), 1)
    return {
        name: {"share": len(keys) / count, "unique": int(np.isin(keys, unique).sum()) / count}
        for name, keys in hit_keys.items()
    }


def recall_by_history(values_C: NDArray[np.float64], cases: RecallCases) -> dict[str, list[float]]:
    """Mean over users by number of plays before the case: `{"0-99": [value, low, high]}`."""
    result = {}
    for low, high in zip(HISTORY_EDGES, [*HISTORY_EDGES[1:], None], strict=True):
        rows = np.flatnonzero((cases.play_number_C >= low) & (cases.play_number_C < (high or np.inf)))
        if len(rows):
            name = f"{low}-{high - 1}" if high else f"{low}+"
            result[name] = recall_metrics.mean_over_users(values_C[rows], cases.user_C[rows]).interval()
    return result


def recall_by_scene(own_CK: Ints, overall_CK: Ints, cases: RecallCases) -> dict[str, dict[str, Any]]:
    """Metrics of the fusion with scene-specific weights, and their difference from one fusion for all scenes.

    Args:
        own_CK: Lists of the fusion with scene-specific weights.
        overall_CK: Lists of the fusion without scenes.
        cases: Their cases.

    Returns:
        By scene: `sessions`, `found` and `difference` (metric/part → [value, low, high]), paired over users.
    """
    result = {}
    for scene in sorted({str(name) for name in cases.scenes if name}):
        rows = np.flatnonzero(cases.scenes == scene)
        scene_cases = cases.take(rows)
        own, overall = (
            recall_metrics.measure(items[rows], scene_cases, SCENE_METRICS) for items in (own_CK, overall_CK)
        )
        parts = [(metric, part) for metric in SCENE_METRICS for part in SCENE_PARTS]
        result[scene] = {
            "sessions": len(rows),
            "found": {f"{metric}/{part}": own[metric][part].interval() for metric, part in parts},
            "difference": {
                f"{metric}/{part}": (own[metric][part] - overall[metric][part]).interval() for metric, part in parts
            },
        }
    return result


def _case_item_keys(items_CK: Ints) -> Ints:
    """A unique number per (case, item), the same for all lists of the same cases."""
    row, column = np.nonzero(items_CK)
    keys: Ints = items_CK[row, column] * np.int64(len(items_CK)) + row
    return keys
