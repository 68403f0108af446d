"""Fit of a learned order: trees on past requests, kept if they are significantly better on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from recommender.nn.trees import PastRequests, Trees, dataset
from recommender.recall.learned_order import ORDER_FILE, OrderConfig, OrderedChannel, base_scores
from training.data.offline_features import OfflineFeatures, load_user_batches
from training.data.recall_cases import RecallCases, is_significant_gain, mean_per_user, recall_at_k
from training.data.training_data import TrainingData
from training.process import configure_threads

LIGHTGBM_PARAMETERS: dict[str, Any] = {"objective": "lambdarank", "feature_fraction": 0.5, "force_col_wise": True}


def build_examples(channel: OrderedChannel[Any], cases: RecallCases, data: TrainingData, kind: str) -> PastRequests:
    """The candidates of the requests with their features; requests without a target among them teach nothing.

    Args:
        channel: The channel.
        cases: Past requests.
        data: The data of the requests.
        kind: Kind of targets.
    """
    features, targets, counts = [], [], []
    offline = OfflineFeatures(data)
    for chunk in tqdm(cases.chunks(), desc="features of past requests", mininterval=1):
        users = offline.load_user_batch(channel.feature_service, chunk.user_ids.tolist(), chunk.request_at_C)
        for row, (item_C, features_CF) in enumerate(channel.candidate_features(users)):
            is_target_C = np.isin(item_C, chunk.items[kind][row])
            if is_target_C.any():
                features.append(features_CF)
                targets.append(is_target_C)
                counts.append(len(item_C))
    if not counts:
        return PastRequests(np.zeros((0, 0), np.float32), np.zeros(0, bool), np.zeros(0, np.int64))
    counted = np.array(counts, dtype=np.int64)
    return PastRequests(np.concatenate(features), np.concatenate(targets), counted, channel.feature_names)


def needs_order(channel: OrderedChannel[Any], data: TrainingData) -> bool:
    """Whether an order must be learned: if the config has trees. If `data.held_out_model` is given, its order is loaded instead."""
    if channel.resolved_config.order.trees and data.held_out_model is not None:
        channel.order = Trees.load(data.held_out_model / ORDER_FILE)
        return False
    return bool(channel.resolved_config.order.trees)


def fit_order(
    channel: OrderedChannel[Any],
    data: TrainingData,
    examples: PastRequests,
    cases: RecallCases,
    kind: str,
    cutoffs: Sequence[int],
) -> None:
    """Learn the order from past requests; the channel keeps it if it is better, otherwise its resolved config has no trees.

    Args:
        channel: The channel without an order.
        data: The data of the fit.
        examples: Past requests.
        cases: Validation requests; see `compare_orders`.
        kind: Kind of targets.
        cutoffs: See `compare_orders`.
    """
    config, is_better = channel.resolved_config, False
    order = fit_trees(examples, config.order, channel.objective, config.seed)
    measures: dict[str, Any] = {
        "requests_with_target": len(examples.count_Q),
        "targets": int(examples.is_target_R.sum()),
    }
    if order is not None:
        is_better, measures["validation"] = compare_orders(channel, order, cases, data, kind, cutoffs)
    channel.measures = {**channel.measures, "order": measures}
    if is_better:
        channel.order = order
    else:
        channel.resolved_config = replace(config, order=replace(config.order, trees=0))


def compare_orders(
    channel: OrderedChannel[Any],
    order: Trees,
    cases: RecallCases,
    data: TrainingData,
    kind: str,
    cutoffs: Sequence[int],
) -> tuple[bool, dict[str, Any]]:
    """Whether the learned order finds significantly more targets than the order by activation, and recall of both.

    Without cases, the order is accepted. The channel has no order afterwards.

    Args:
        channel: The channel.
        order: The learned order.
        cases: Validation requests.
        data: The data of the fit.
        kind: Kind of targets.
        cutoffs: The sum of recall at all of them is compared, paired over users.
    """
    if not len(cases):
        return True, {}
    batches = load_user_batches(data, cases, channel.feature_service)
    orders: dict[str, Trees | None] = {"activation": None, "learned": order}
    recall: dict[str, dict[int, np.ndarray]] = {}
    for name, channel.order in orders.items():
        bar = tqdm(batches, desc=f"validation, {name} order", mininterval=1)
        items_CK = np.concatenate([channel.recall(users, max(cutoffs)) for users in bar])
        recall[name] = {k: mean_per_user(recall_at_k(items_CK, cases.items[kind], k), cases.user_C) for k in cutoffs}
    channel.order = None
    gain_U = np.asarray(sum(recall["learned"][k] - recall["activation"][k] for k in cutoffs))
    table = {f"recall_at_{k}/{name}": float(recall[name][k].mean()) for k in cutoffs for name in orders}
    return is_significant_gain(gain_U), {"cases": len(cases), **table}


def fit_trees(examples: PastRequests, config: OrderConfig, objective: dict[str, Any], seed: int) -> Trees | None:
    """Fit the trees; None if no candidate is a target, or all of them.

    Args:
        examples: Candidates of past requests in the order by activation.
        config: Number and size of the trees.
        objective: Parameters of LightGBM's ranking objective.
        seed: Of the trees.
    """
    if not examples.has_both_classes:
        return None
    parameters = {
        **LIGHTGBM_PARAMETERS,
        **objective,
        "learning_rate": config.learning_rate,
        "num_leaves": config.leaves,
        "min_data_in_leaf": config.min_candidates_per_leaf,
    }
    rows = {
        "group": examples.count_Q,
        "init_score": np.concatenate([base_scores(int(count)) for count in examples.count_Q]),
        "feature_name": list(examples.feature_names) or "auto",
    }
    threads = configure_threads()
    data = dataset(examples.features_RN, examples.is_target_R, parameters, seed, threads, **rows)
    return Trees.fit(data, config.trees, "learned order")
