"""Requests that the learned order of played tracks is fitted on and compared on.

All features are of the user's own plays before a request, so requests of the `train` part are as valid as later ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.recall.favourites.config import FavouritesConfig
from training.recall.learned_order import order_fit
from training.recall.learned_order.candidate_order import CandidateOrder
from training.recall.repeat_features import FEATURE_NAMES

CUTOFFS = (50, 200)


def fit_order(
    channel: order_fit.OrderedChannel, data: TrainingData, config: FavouritesConfig
) -> tuple[CandidateOrder | None, dict[str, Any]]:
    """The order, learned from requests of the `train` part, and its measures.

    Args:
        channel: The channel without an order, with all plays in its archive.
        data: The data of the fit.
        config: The channel's configuration.

    Returns:
        The order; None if there is no example, or if it is not significantly better than the order by activation on the
        validation part, if there is one.
    """
    requests = sample_requests(data, config)
    order, measures = order_fit.fit_order(channel, requests, data, "repeat", FEATURE_NAMES, config.order, config.seed)
    if order is None:
        return order, measures
    validation = data.recall_cases("validation")
    cases = validation.sample(validation.number_per_user(config.cases_per_user), config.seed)
    is_better, measures["validation"] = order_fit.compare_orders(channel, order, cases, data, "targets", CUTOFFS)
    return (order if is_better else None), measures


def sample_requests(data: TrainingData, config: FavouritesConfig) -> RecallCases:
    """Requests of the newest sessions of each user in `train` that have a repeat and enough plays before them."""
    cases = data.recall_cases("train")
    number_C = np.arange(len(cases)) - np.searchsorted(cases.user_C, cases.user_C)
    sessions_U = np.bincount(cases.user_C)
    is_late_C = number_C >= (1 - config.order.train_fraction) * sessions_U[cases.user_C]
    has_history_C = cases.play_number_C >= config.order.min_history_plays
    rows = np.flatnonzero(is_late_C & has_history_C & (cases.items["repeat"].count_C > 0))
    requests, order = cases.take(rows), config.order
    return requests.sample(requests.number_per_user(order.requests_per_user), config.seed, order.max_requests)
