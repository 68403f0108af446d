"""Fit of the recall of collections: openings of the log, and the weights that validation chooses."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from recommender.recall.collection_recall import CollectionConfig, CollectionRecall
from recommender.recall.realtime import Realtime
from sequences.sequence_batch import FIRST_CODE
from training.data.collection_cases import build_collection_cases, read_collections
from training.data.offline_features import load_user_batches
from training.data.plays import PARTS
from training.data.recall_cases import recall_table
from training.data.training_data import TrainingData


def fit_collection(
    kind: type[CollectionRecall], data: TrainingData, config: CollectionConfig, realtime: Realtime
) -> CollectionRecall:
    """Count the openings in `train`; tune the weights that are not given on the openings in `validation`."""
    collections = read_collections(data, kind.kind)
    opened = build_collection_cases(data, collections, PARTS[0]).items["targets"].items
    opened_N = np.bincount(opened, minlength=len(collections)).astype(np.int64)
    fitted = kind(config, replace(collections, open_count_N=opened_N), realtime)
    cases = build_collection_cases(data, collections, "validation")
    batches = load_user_batches(data, cases, kind.feature_service) if len(cases) else []
    tables = {}
    for opened_weight, popular_weight in product(
        *(
            tried if chosen is None else (chosen,)
            for chosen, tried in (
                (config.opened_weight, config.opened_weight_grid),
                (config.popular_weight, config.popular_weight_grid),
            )
        )
    ):
        fitted.resolved_config = replace(config, opened_weight=opened_weight, popular_weight=popular_weight)
        fitted.rebuild_index()
        if not batches:
            break
        items = np.concatenate([fitted.recall(users, max(config.eval_cutoffs)) for users in batches])
        tables[fitted.resolved_config] = recall_table(items, cases, config.eval_cutoffs)
    if tables:
        fitted.resolved_config = max(
            tables,
            key=lambda trial: round(sum(tables[trial][f"recall_at_{k}/all"] for k in config.eval_cutoffs), 9),
        )
        fitted.rebuild_index()
    fitted.measures = {
        "containers": len(collections) - FIRST_CODE,
        "openings": {"train": len(opened), "validation": len(cases)},
        "validation": tables.get(fitted.resolved_config, {}),
    }
    return fitted
