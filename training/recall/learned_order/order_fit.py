"""Fit of a learned order from past requests, and its comparison with the order by activation on validation.

Legend: Q requests, K candidates, R candidates of all requests, U users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from training.data.recall_cases import RecallCases, is_significant_gain, mean_per_user, recall_at_k
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch, load_user_batches
from training.engine.threads import configure_threads
from training.recall.channel import Candidates
from training.recall.learned_order.candidate_order import CandidateOrder, TreesConfig
from training.recall.learned_order.order_examples import FeaturedChannel, build_examples


class OrderedChannel(FeaturedChannel, Protocol):
    """A channel whose candidates have a learned order."""

    order: CandidateOrder | None

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` best candidates of each request."""


def fit_order(
    channel: FeaturedChannel,
    requests: RecallCases,
    data: TrainingData,
    kind: str,
    feature_names: Sequence[str],
    config: TreesConfig,
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
        items_CK = np.concatenate([channel.recall(users, max(cutoffs)).items_BK for users in batches])
        recall[name] = {k: mean_per_user(recall_at_k(items_CK, cases.items[kind], k), cases.user_C) for k in cutoffs}
    channel.order = None
    gain_U = np.asarray(sum(recall["learned"][k] - recall["activation"][k] for k in cutoffs))
    table = {f"recall_at_{k}/{name}": float(recall[name][k].mean()) for k in cutoffs for name in orders}
    return is_significant_gain(gain_U), {"cases": len(cases), **table}
