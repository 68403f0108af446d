"""Fit of the learned order: past requests, the walk's candidates for each, and whether it is better than the walk's.

The walk's co-occurrence edges know which tracks a user played in the `train` part. Requests of that part would find
their targets by the user's own later plays. The order is therefore learned from the newest requests of the part, with
a graph that was built from the plays before them.

Legend: Q requests, K candidates, F features, U users.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from training.data.plays import PARTS
from training.data.recall_cases import RecallCases, is_significant_gain, mean_per_user, recall_at_k
from training.data.training_data import TrainingData
from training.data.user_batch import load_user_batches
from training.engine import trainer
from training.recall.knowledge_graph.candidate_features import FEATURE_NAMES
from training.recall.knowledge_graph.tuning import TunableWalk
from training.recall.learned_order.candidate_order import CandidateOrder
from training.recall.learned_order.order_examples import FeaturedChannel, build_examples

TRAIN, VALIDATION, TEST = range(len(PARTS))
CUTOFFS = (20, 50)
"""Numbers of discoveries in a list of 200 between which fusion usually chooses."""


class OrderedWalk(TunableWalk, FeaturedChannel, Protocol):
    """The part of the channel `knowledge_graph` that fitting its order uses."""

    order: CandidateOrder | None


def end_train_earlier(data: TrainingData, fraction: float) -> TrainingData:
    """A copy where the last `fraction` of each user's plays of `train` are `validation`, and all later ones `test`.

    The cut of a user is at the start of a session.
    """
    plays = data.plays
    is_train_P = plays.part_P == TRAIN
    count_U = np.bincount(plays.user_P[is_train_P], minlength=len(data.user_ids_U))
    number_P = np.arange(len(plays)) - plays.offset_U1[plays.user_P]
    is_late_P = number_P[plays.session_start_P] >= (1 - fraction) * count_U[plays.user_P]
    part_P = np.where(is_train_P, np.where(is_late_P, VALIDATION, TRAIN), TEST).astype(plays.part_P.dtype)
    earlier = copy.copy(data)
    earlier.__dict__.pop("validation_catalog_V", None)  # cached, and depends on the parts
    earlier.plays = replace(plays, part_P=part_P)
    return earlier


def fit_order(
    channel: OrderedWalk,
    past: OrderedWalk,
    past_data: TrainingData,
    data: TrainingData,
    *,
    is_compared: bool,
) -> tuple[CandidateOrder | None, dict[str, Any]]:
    """The order, learned from requests of the `validation` part of `past_data`, and its measures.

    Args:
        channel: The channel without an order.
        past: The same channel, built from the `train` part of `past_data`.
        past_data: See `end_train_earlier`.
        data: The data of the fit.
        is_compared: Whether the order must be significantly better than the walk's on the validation part of `data`.

    Returns:
        The order; None if there is no example, or if it is compared and not better.
    """
    config, seed = channel.resolved_config.order, channel.resolved_config.seed
    cases = sample_requests(past_data, config.requests_per_user, config.max_requests, seed)
    examples = build_examples(past, cases, past_data, "reachable", FEATURE_NAMES)
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


def sample_requests(data: TrainingData, per_user: int, max_requests: int, seed: int) -> RecallCases:
    """Validation requests with a reachable discovery."""
    cases = data.recall_cases("validation")
    return cases.take(np.flatnonzero(cases.items["reachable"].count_C > 0)).sample(per_user, seed, max_requests)


def compare_orders(channel: OrderedWalk, order: CandidateOrder, data: TrainingData) -> tuple[bool, dict[str, Any]]:
    """Whether the learned order finds significantly more reachable discoveries on validation, and recall of both.

    Without validation requests, the order is accepted.
    """
    config = channel.resolved_config
    cases = sample_requests(data, config.cases_per_user, config.max_validation_cases, config.seed)
    if not len(cases):
        return True, {}
    batches = load_user_batches(data, cases, channel.feature_service)
    orders: dict[str, CandidateOrder | None] = {"walk": None, "learned": order}
    recall: dict[str, Any] = {}
    catalog_V, channel.is_servable_V = channel.is_servable_V, channel.is_servable_V & data.validation_catalog_V
    for name, channel.order in orders.items():
        items_CK = np.concatenate([channel.recall(users, max(CUTOFFS)).items_BK for users in batches])
        recall[name] = {
            k: mean_per_user(recall_at_k(items_CK, cases.items["reachable"], k), cases.user_C) for k in CUTOFFS
        }
    channel.order, channel.is_servable_V = None, catalog_V
    difference_U = sum(recall["learned"][k] - recall["walk"][k] for k in CUTOFFS)
    table = {f"recall_at_{k}/{name}": float(recall[name][k].mean()) for k in CUTOFFS for name in orders}
    return is_significant_gain(np.asarray(difference_U)), {"cases": len(cases), **table}
