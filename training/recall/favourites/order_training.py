"""Fit of the learned order of played tracks: past requests, the most active tracks of each, and which were played.

All features are of the user's own plays before a request, so requests of the `train` part are as valid as later ones.

Legend: Q requests, F features, U users.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from training.data.recall_cases import RecallCases, is_significant_gain, mean_per_user, recall_at_k
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch, load_user_batches
from training.engine import trainer
from training.recall.channel import Candidates
from training.recall.favourites.candidate_features import FEATURE_NAMES
from training.recall.favourites.config import FavouritesConfig
from training.recall.learned_order.candidate_order import CandidateOrder
from training.recall.learned_order.order_examples import FeaturedChannel, build_examples

CUTOFFS = (50, 200)


class OrderedFavourites(FeaturedChannel, Protocol):
    """The part of the channel `favourites` that fitting its order uses."""

    resolved_config: FavouritesConfig
    order: CandidateOrder | None

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` best candidates of each request."""


def fit_order(
    channel: OrderedFavourites, data: TrainingData, *, is_compared: bool
) -> tuple[CandidateOrder | None, dict[str, Any]]:
    """The order, learned from requests of the `train` part, and its measures.

    Args:
        channel: The channel without an order, with all plays in its archive.
        data: The data of the fit.
        is_compared: Whether the order must be significantly better than the order by activation on validation.

    Returns:
        The order; None if there is no example, or if it is compared and not better.
    """
    config, seed = channel.resolved_config.order, channel.resolved_config.seed
    cases = sample_requests(data, channel.resolved_config)
    examples = build_examples(channel, cases, data, "repeat", FEATURE_NAMES)
    order = CandidateOrder.fit(examples, config, seed, trainer.configure_threads())
    measures: dict[str, Any] = {
        "requests": len(cases),
        "requests_with_target": len(examples.count_Q),
        "targets": int(examples.is_target_R.sum()),
    }
    if order is None or not is_compared:
        return order, measures
    is_better, measures["validation"] = compare_orders(channel, order, data)
    return (order if is_better else None), measures


def sample_requests(data: TrainingData, config: FavouritesConfig) -> RecallCases:
    """Requests of the newest sessions of each user in `train` that have a repeat and enough plays before them."""
    cases = data.recall_cases("train")
    number_C = np.arange(len(cases)) - np.searchsorted(cases.user_C, cases.user_C)
    sessions_U = np.bincount(cases.user_C)
    is_late_C = number_C >= (1 - config.order.train_fraction) * sessions_U[cases.user_C]
    has_history_C = cases.play_number_C >= config.order.min_history_plays
    rows = np.flatnonzero(is_late_C & has_history_C & (cases.items["repeat"].count_C > 0))
    return cases.take(rows).sample(config.order.requests_per_user, config.seed, config.order.max_requests)


def compare_orders(
    channel: OrderedFavourites, order: CandidateOrder, data: TrainingData
) -> tuple[bool, dict[str, Any]]:
    """Whether recall of the learned order on validation is significantly higher, and recall of both orders.

    Without validation requests, the order is accepted.
    """
    config = channel.resolved_config
    cases = data.recall_cases("validation").sample(config.cases_per_user, config.seed)
    if not len(cases):
        return True, {}
    batches = load_user_batches(data, cases, channel.feature_service)
    orders: dict[str, CandidateOrder | None] = {"activation": None, "learned": order}
    recall: dict[str, Any] = {}
    for name, channel.order in orders.items():
        items_CK = np.concatenate([channel.recall(users, max(CUTOFFS)).items_BK for users in batches])
        recall[name] = {
            k: mean_per_user(recall_at_k(items_CK, cases.items["targets"], k), cases.user_C) for k in CUTOFFS
        }
    channel.order = None
    gain_U = np.asarray(sum(recall["learned"][k] - recall["activation"][k] for k in CUTOFFS))
    table = {f"recall_at_{k}/{name}": float(recall[name][k].mean()) for k in CUTOFFS for name in orders}
    return is_significant_gain(gain_U), {"cases": len(cases), **table}
