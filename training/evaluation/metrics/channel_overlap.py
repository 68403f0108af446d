"""How lists differ: who finds what nobody else finds, how alike two channels are, and for whom each works.

Legend: C cases, K candidates. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.ragged import Ragged
from training.data.recall_cases import RecallCases
from training.evaluation.metrics import recall_metrics

HISTORY_EDGES = (0, 100, 1_000, 5_000, 20_000)
OVERLAP_AT = 50
VALUES_PER_FACET = 6
SCENE_METRICS, SCENE_PARTS = ("recall_at_50", "recall_at_200"), ("all", "reachable")

Ints = NDArray[np.int64]
Facets = Mapping[str, tuple[list[str], Ragged]]


def overlap(lists: Mapping[str, Ints]) -> dict[str, dict[str, float]]:
    """For each pair, the share of the first list's first OVERLAP_AT items that the second's hold too, averaged over
    cases.
    """
    keys = {name: _case_item_keys(items_CK[:, :OVERLAP_AT]) for name, items_CK in lists.items()}
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
        hits_CK = cases.items["targets"].contains(items_CK)
        found[name] = _case_item_keys(np.where(hits_CK, items_CK, 0))
    everything, finders = np.unique(np.concatenate(list(found.values())), return_counts=True)
    alone = everything[finders == 1]
    count = max(len(everything), 1)
    return {
        name: {"share": len(keys) / count, "unique": int(np.isin(keys, alone).sum()) / count}
        for name, keys in found.items()
    }


def recall_by_history(values_C: NDArray[np.float64], cases: RecallCases) -> dict[str, list[float]]:
    """`{"0-99": [value, low, high]}`: a case's figure by how many plays its user had before it, users averaged within
    each.
    """
    result = {}
    for low, high in zip(HISTORY_EDGES, [*HISTORY_EDGES[1:], None], strict=True):
        rows = np.flatnonzero((cases.play_number_C >= low) & (cases.play_number_C < (high or np.inf)))
        if len(rows):
            name = f"{low}-{high - 1}" if high else f"{low}+"
            result[name] = recall_metrics.mean_over_users(values_C[rows], cases.user_C[rows]).interval()
    return result


def recall_by_scene(own_CK: Ints, overall_CK: Ints, cases: RecallCases) -> dict[str, dict[str, Any]]:
    """For each scene of the cases its `sessions`, and by SCENE_METRICS what was `found` by the fusion's `own_CK` for scenes, and
    the `difference` to `overall_CK`, which knows no scenes: [value, low, high] each, paired over users.
    """
    result = {}
    for scene in sorted({str(one) for one in cases.scenes if one}):
        rows = np.flatnonzero(cases.scenes == scene)
        some = cases.take(rows)
        own, overall = (recall_metrics.measure(items[rows], some, SCENE_METRICS) for items in (own_CK, overall_CK))
        parts = [(metric, part) for metric in SCENE_METRICS for part in SCENE_PARTS]
        result[scene] = {
            "sessions": len(rows),
            "found": {f"{metric}/{part}": own[metric][part].interval() for metric, part in parts},
            "difference": {
                f"{metric}/{part}": (own[metric][part] - overall[metric][part]).interval() for metric, part in parts
            },
        }
    return result


class FacetRecall:
    """Recall at OVERLAP_AT of the targets that have a value of a facet, for the COMMONEST values of each facet among the
    targets; users averaged within each. Facets that no target has are left out.
    """

    def __init__(self, cases: RecallCases, facets: Facets) -> None:
        self._cases = cases
        targets = cases.items["targets"]
        self._has_V: dict[str, NDArray[np.bool_]] = {}
        for facet, (values, numbers) in facets.items():
            counts = np.bincount(_facet_codes(numbers, targets.items), minlength=len(values))
            for number in [int(one) for one in np.argsort(-counts, kind="stable")[:VALUES_PER_FACET] if counts[one]]:
                has_V = np.zeros(len(numbers.count_C), dtype=bool)
                has_V[numbers.case_per_item[numbers.items == number]] = True
                self._has_V[f"{facet}: {values[number]}"] = has_V
        self._target_C = {
            name: np.bincount(targets.case_per_item, weights=has_V[targets.items], minlength=len(cases))
            for name, has_V in self._has_V.items()
        }

    def measure(self, items_CK: Ints) -> dict[str, list[float]]:
        """`{"languages: Cantonese": [value, low, high]}` of one list a case."""
        some_CK = items_CK[:, :OVERLAP_AT]
        hits_CK = self._cases.items["targets"].contains(some_CK)
        result = {}
        for name, has_V in self._has_V.items():
            found_C, target_C = (hits_CK & has_V[some_CK]).sum(1), self._target_C[name]
            value_C = np.divide(found_C, target_C, out=np.full(len(target_C), np.nan), where=target_C > 0)
            result[name] = recall_metrics.mean_over_users(value_C, self._cases.user_C).interval()
        return result


def _facet_codes(numbers: Ragged, items: Ints) -> Ints:
    """The facet's numbers of all the items, one after the other."""
    count = numbers.count_C[items]
    first = np.repeat(numbers.offset_C1[items], count)
    within = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    found: Ints = numbers.items[first + within]
    return found


def _case_item_keys(items_CK: Ints) -> Ints:
    """One number for each (case, item), the same in every list of the same cases."""
    row, column = np.nonzero(items_CK)
    keys: Ints = items_CK[row, column] * np.int64(len(items_CK)) + row
    return keys
