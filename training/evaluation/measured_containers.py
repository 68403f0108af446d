"""Recall of playlists and mlogs on the test part: does what a user opens next stand high, beside what is opened most and
what they opened last?

Legend: C openings, K candidates. Knows nothing about how containers are recalled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequences.batch import FIRST
from training.containers import openings
from training.evaluation import recall_metrics
from training.evaluation.held_out import HeldOut
from training.recall import ContainerRecall
from training.recall.measure import user_batches

METRICS = ("recall_at_10", "recall_at_50", "ndcg_at_10")
PARTS = ("all", "repeat", "discovery")
MOST, LAST = "most_opened", "last_opened"


def measure_containers(held_out: HeldOut) -> dict[str, Any]:
    """For each kind of container: how many there are, on how many openings it was measured, which weights were chosen,
    and by list ▸ metric ▸ part what it finds, [value, low, high], and what the recalled list finds more, paired over users.
    """
    return {name: _measured(held_out, recaller) for name, recaller in held_out.containers.items()}


def _measured(held_out: HeldOut, recaller: ContainerRecall) -> dict[str, Any]:
    cases = openings(held_out.data, recaller.containers, "test")
    settled = recaller.settled
    found: dict[str, Any] = {
        "containers": len(recaller.containers) - FIRST,
        "openings": len(cases),
        "users": len(np.unique(cases.user_C)),
        "chosen": {"opened_weight": settled.opened_weight, "popular_weight": settled.popular_weight},
    }
    if not len(cases):
        return found | {"recall": {}, "difference": {}}
    lists = _lists(held_out, recaller, cases)
    figures = {name: recall_metrics.measure(items, cases, METRICS) for name, items in lists.items()}
    return found | {
        "recall": {
            name: {metric: {part: one[metric][part].interval() for part in PARTS} for metric in METRICS}
            for name, one in figures.items()
        },
        "difference": {
            other: {
                metric: {part: (figures[recaller.name][metric][part] - one[metric][part]).interval() for part in PARTS}
                for metric in METRICS
            }
            for other, one in figures.items()
            if other != recaller.name
        },
    }


def _lists(held_out: HeldOut, recaller: ContainerRecall, cases: Any) -> dict[str, NDArray[np.int64]]:
    """Name ▸ the first candidates of each opening, [C, K]."""
    k = max(int(metric.rpartition("_")[2]) for metric in METRICS)
    batches = user_batches(held_out.data, cases, recaller.feature_service)
    popular_CK = np.tile(recaller.shelf.popular_K[:k], (len(cases), 1))
    opened_CO = np.concatenate([recaller.opened(users)[0] for users in batches])
    last_CK = np.zeros((len(cases), k), dtype=np.int64)
    for row, both in enumerate(np.concatenate([opened_CO, popular_CK], axis=1)):
        distinct = list(dict.fromkeys(both[both > 0].tolist()))[:k]
        last_CK[row, : len(distinct)] = distinct
    recalled_CK = np.concatenate([recaller.recall(users, k).items_BK for users in batches])
    return {recaller.name: recalled_CK, MOST: popular_CK, LAST: last_CK}
