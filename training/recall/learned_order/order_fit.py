"""Fit of a learned order from examples of past requests, and its comparison with the order by activation on validation.

Legend: Q requests, C and K candidates, F features, R candidates of all requests, U users.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from tqdm import tqdm

from training.data.recall_cases import RecallCases, is_significant_gain, iterate_chunks, mean_per_user, recall_at_k
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures, UserBatch, load_user_batches
from training.engine.threads import configure_threads
from training.nn.trees import PastRequests
from training.recall.channel import Candidates
from training.recall.learned_order.candidate_order import CandidateOrder


class OrderedChannel(Protocol):
    """A channel whose candidates have a learned order."""

    feature_service: ClassVar[str]
    order: CandidateOrder | None

    def candidate_features(self, users: UserBatch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each request: the candidates that the order applies to, by activation, and their features [C, F]."""

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` best candidates of each request."""


def build_examples(
    channel: OrderedChannel, cases: RecallCases, data: TrainingData, kind: str, feature_names: Sequence[str]
) -> PastRequests:
    """The candidates of the requests with their features; requests without a target among them teach nothing.

    Args:
        channel: The channel.
        cases: Past requests.
        data: The data of the requests.
        kind: Kind of targets.
        feature_names: Names of the features.
    """
    features, targets, counts = [], [], []
    offline = OfflineFeatures(data)
    for rows in tqdm(list(iterate_chunks(len(cases))), desc="features of past requests", mininterval=1):
        chunk = cases.take(rows)
        users = offline.load_user_batch(channel.feature_service, chunk.user_ids.tolist(), chunk.request_at_C)
        for row, (item_C, features_CF) in enumerate(channel.candidate_features(users)):
            is_target_C = np.isin(item_C, chunk.items[kind][row])
            if is_target_C.any():
                features.append(features_CF)
                targets.append(is_target_C)
                counts.append(len(item_C))
    if not counts:
        return PastRequests(np.zeros((0, 0), np.float32), np.zeros(0, bool), np.zeros(0, np.int64))
    return PastRequests(
        np.concatenate(features), np.concatenate(targets), np.array(counts, dtype=np.int64), feature_names
    )


def fit_order(
    channel: OrderedChannel,
    requests: RecallCases,
    data: TrainingData,
    kind: str,
    feature_names: Sequence[str],
    config: Any,
    seed: int,
) -> tuple[CandidateOrder | None, dict[str, Any]]:
    """The order learned from past requests, and the numbers of its examples.

    Args:
        channel: The channel without an order.
        requests: Past requests.
        data: The data of the requests.
        kind: Kind of targets.
        feature_names: Names of the channel's features.
        config: Size of the trees.
        seed: Of the trees.

    Returns:
        The order; None if no request has a target among its candidates.
    """
    examples = build_examples(channel, requests, data, kind, feature_names)
    order = CandidateOrder.fit(examples, config, seed, configure_threads())
    return order, {
        "requests": len(requests),
        "requests_with_target": len(examples.count_Q),
        "targets": int(examples.is_target_R.sum()),
    }


def compare_orders(
    channel: OrderedChannel,
    order: CandidateOrder,
    cases: RecallCases,
    data: TrainingData,
    kind: str,
    cutoffs: tuple[int, int],
) -> tuple[bool, dict[str, Any]]:
    """Whether the learned order finds significantly more targets than the order by activation, and recall of both.

    Without cases, the order is accepted. The channel has no order afterwards.

    Args:
        channel: The channel.
        order: The learned order.
        cases: Validation requests.
        data: The data of the fit.
        kind: Kind of targets.
        cutoffs: The sum of recall at both is compared, paired over users.
    """
    if not len(cases):
        return True, {}
    batches = load_user_batches(data, cases, channel.feature_service)
    orders: dict[str, CandidateOrder | None] = {"activation": None, "learned": order}
    recall: dict[str, dict[int, np.ndarray]] = {}
    for name, channel.order in orders.items():
        bar = tqdm(batches, desc=f"validation, {name} order", mininterval=1)
        items_CK = np.concatenate([channel.recall(users, max(cutoffs)).items_BK for users in bar])
        recall[name] = {k: mean_per_user(recall_at_k(items_CK, cases.items[kind], k), cases.user_C) for k in cutoffs}
    channel.order = None
    gain_U = np.asarray(sum(recall["learned"][k] - recall["activation"][k] for k in cutoffs))
    table = {f"recall_at_{k}/{name}": float(recall[name][k].mean()) for k in cutoffs for name in orders}
    return is_significant_gain(gain_U), {"cases": len(cases), **table}
