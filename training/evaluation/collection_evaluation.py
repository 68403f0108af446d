"""Recall of playlists and mlogs on the openings of the test part, compared with two baselines: most and last opened.

Legend: C openings, K candidates, O recently opened collections.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequences.batch import FIRST_CODE
from training.data.collections import build_collection_cases
from training.data.user_batch import load_user_batches
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import recall_metrics
from training.recall import CollectionRecall

METRICS = ("recall_at_10", "recall_at_50", "ndcg_at_10")
PARTS = ("all", "repeat", "discovery")
MOST_OPENED, LAST_OPENED = "most_opened", "last_opened"


def measure_collections(held_out: HeldOutModels) -> dict[str, Any]:
    """Section `containers` of `evaluation.json`, by kind of collection.

    Returns:
        Numbers of collections, openings and users, the chosen weights, `recall` (list → metric → part → [value, low,
        high]) and `difference` (baseline → metric → part → paired difference of the recalled list from it).
    """
    return {name: _measure_collection(held_out, recaller) for name, recaller in held_out.collection_recallers.items()}


def _measure_collection(held_out: HeldOutModels, recaller: CollectionRecall) -> dict[str, Any]:
    cases = build_collection_cases(held_out.data, recaller.collections, "test")
    config = recaller.resolved_config
    content: dict[str, Any] = {
        "containers": len(recaller.collections) - FIRST_CODE,
        "openings": len(cases),
        "users": len(np.unique(cases.user_C)),
        "chosen": {"opened_weight": config.opened_weight, "popular_weight": config.popular_weight},
    }
    if not len(cases):
        return content | {"recall": {}, "difference": {}}
    lists = _recommendation_lists(held_out, recaller, cases)
    metrics = {name: recall_metrics.measure(items, cases, METRICS) for name, items in lists.items()}
    return content | {
        "recall": {
            name: {metric: {part: row[metric][part].interval() for part in PARTS} for metric in METRICS}
            for name, row in metrics.items()
        },
        "difference": {
            other: {
                metric: {part: (metrics[recaller.name][metric][part] - row[metric][part]).interval() for part in PARTS}
                for metric in METRICS
            }
            for other, row in metrics.items()
            if other != recaller.name
        },
    }


def _recommendation_lists(
    held_out: HeldOutModels, recaller: CollectionRecall, cases: Any
) -> dict[str, NDArray[np.int64]]:
    """Candidates [C, K] of each list, by name."""
    k = max(int(metric.rpartition("_")[2]) for metric in METRICS)
    batches = load_user_batches(held_out.data, cases, recaller.feature_service)
    popular_CK = np.tile(recaller.collection_index.popular_K[:k], (len(cases), 1))
    opened_CO = np.concatenate([recaller.recent_openings(users)[0] for users in batches])
    last_CK = np.zeros((len(cases), k), dtype=np.int64)
    for row, both in enumerate(np.concatenate([opened_CO, popular_CK], axis=1)):
        distinct = list(dict.fromkeys(both[both > 0].tolist()))[:k]
        last_CK[row, : len(distinct)] = distinct
    recalled_CK = np.concatenate([recaller.recall(users, k).items_BK for users in batches])
    return {recaller.name: recalled_CK, MOST_OPENED: popular_CK, LAST_OPENED: last_CK}
