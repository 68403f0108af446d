"""Learned order of a channel's candidates: boosted trees on top of the order by activation.

The score of a candidate is `-log(1 + rank) + trees`, with trees that were fitted as a correction of the rank, by
LambdaMART (Burges 2010, MSR-TR-2010-82). Without trees, or where they have nothing to say, the order by activation
remains. The trees learn from past requests, and are kept if they are significantly better on validation.

Legend: B requests, Q past requests, R candidates of all of them, C and K candidates of one request, F features, U users.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.data.recall_cases import RecallCases, is_significant_gain, iterate_chunks, mean_per_user, recall_at_k
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures, UserBatch, load_user_batches
from training.engine.config_io import Section
from training.engine.process import configure_threads
from training.nn.trees import PastRequests, Trees, dataset
from training.recall.channel import Candidates, Config, RecallChannel

FILE = "order.txt"
LIGHTGBM_PARAMETERS: dict[str, Any] = {"objective": "lambdarank", "feature_fraction": 0.5, "force_col_wise": True}

Floats = NDArray[np.float32]
Ranked = tuple[np.ndarray, np.ndarray, Any]
"""Candidates of one request by activation, their scores, and what `OrderedChannel.features` computes their features of."""


@dataclass(frozen=True)
class OrderConfig(Section):
    """Learned order of a channel's most active candidates."""

    trees: int
    leaves: int
    learning_rate: float
    min_candidates_per_leaf: int
    pool: int
    train_fraction: float
    requests_per_user: int
    max_requests: int


@dataclass(frozen=True)
class CandidateOrder:
    """Fitted trees."""

    trees: Trees

    @classmethod
    def fit(
        cls, examples: PastRequests, config: OrderConfig, objective: dict[str, Any], seed: int
    ) -> CandidateOrder | None:
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
        return cls(Trees.fit(data, config.trees, "learned order"))

    def reorder(self, item_K: NDArray[np.int64], features_CF: Floats) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The items of one request by the learned order, and their scores, descending. Runs on the calling thread.

        Args:
            item_K: Items by activation.
            features_CF: Features of the first C of them. Further items follow in their order.
        """
        C = len(features_CF)
        base_K = base_scores(len(item_K))
        score_K = base_K.copy()
        if C:
            score_K[:C] += self.trees.predict(np.zeros((1, 0), dtype=np.float32), features_CF[None])[0]
            score_K[C:] += min(score_K[:C].min() - base_K[C - 1], 0.0)
        order_K = np.argsort(-score_K, kind="stable")
        return item_K[order_K], score_K[order_K]

    @classmethod
    def load(cls, folder: Path) -> CandidateOrder | None:
        """The order of the channel that was saved into a folder; None if it has none."""
        trees = Trees.load(folder / FILE)
        return None if trees is None else cls(trees)


def base_scores(count: int) -> NDArray[np.float64]:
    """Scores of the order by activation, best first."""
    return -np.log1p(np.arange(count))


class OrderedChannel(RecallChannel[Config]):
    """A channel that ranks candidates by activation, and may have a learned order of the best of them.

    Its config has the sections `order` (an OrderConfig) and `seed`.
    """

    feature_names: ClassVar[tuple[str, ...]]
    objective: ClassVar[dict[str, Any]]
    """Parameters of LightGBM's ranking objective."""
    order: CandidateOrder | None
    resolved_config: Any

    @abstractmethod
    def rank(self, users: UserBatch, k: int) -> Iterator[Ranked]:
        """The `k` most active candidates of each request, ties by smaller item code."""

    @abstractmethod
    def features(self, source: Any, item_C: np.ndarray, score_C: np.ndarray) -> Floats:
        """Features [C, F] of the first candidates of a request, at least one; `source` is the third part of `rank`."""

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` best candidates: by the learned order if there is one, whose scores they have, else by activation."""
        items_BK = np.zeros((len(users), k), dtype=np.int64)
        scores_BK = np.full((len(users), k), -np.inf, dtype=np.float32)
        pool = 0 if self.order is None else self.resolved_config.order.pool
        for row, (item_C, score_C, source) in enumerate(self.rank(users, max(k, pool))):
            ranked = item_C, score_C
            if self.order is not None and len(item_C):
                ranked = self.order.reorder(item_C, self.features(source, item_C[:pool], score_C[:pool]))
            count = min(k, len(item_C))
            items_BK[row, :count], scores_BK[row, :count] = ranked[0][:k], ranked[1][:k]
        return Candidates.pad_or_truncate(items_BK, scores_BK, k)

    def candidate_features(self, users: UserBatch) -> Iterator[tuple[np.ndarray, Floats]]:
        """For each request: the candidates [C] that a learned order sorts, by activation, and their features [C, F]."""
        for item_C, score_C, source in self.rank(users, self.resolved_config.order.pool):
            has_any = len(item_C) > 0
            yield item_C, self.features(source, item_C, score_C) if has_any else np.zeros((0, 0), dtype=np.float32)

    def set_order(self, data: TrainingData, fit: Callable[[], tuple[CandidateOrder | None, dict[str, Any]]]) -> None:
        """If the config has trees, set the order that `fit` returns, with its measures, or the order of `data.held_out_model`.

        Without an accepted order the resolved config has no trees.
        """
        config = self.resolved_config
        if config.order.trees and data.held_out_model is not None:
            self.order = CandidateOrder.load(data.held_out_model)
        elif config.order.trees:
            self.order, measures = fit()
            self.measures = {**self.measures, "order": measures}
            if self.order is None:
                self.resolved_config = replace(config, order=replace(config.order, trees=0))

    def save_order(self, folder: Path) -> None:
        """Write the trees as a text file, if there are any; see `CandidateOrder.load`."""
        (folder / FILE).unlink(missing_ok=True)
        if self.order is not None:
            self.order.trees.save(folder / FILE)


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
    counted = np.array(counts, dtype=np.int64)
    return PastRequests(np.concatenate(features), np.concatenate(targets), counted, channel.feature_names)


def fit_order(
    channel: OrderedChannel[Any],
    requests: RecallCases,
    data: TrainingData,
    kind: str,
    validate: Callable[[CandidateOrder], tuple[bool, dict[str, Any]]],
) -> tuple[CandidateOrder | None, dict[str, Any]]:
    """The order learned from past requests, and the numbers of its examples and of its validation.

    Args:
        channel: The channel without an order.
        requests: Past requests.
        data: The data of the requests.
        kind: Kind of targets.
        validate: Compares the order with that by activation, see `compare_orders`.

    Returns:
        The order; None if no request has a target among its candidates, or if it is not better.
    """
    examples, config = build_examples(channel, requests, data, kind), channel.resolved_config
    order = CandidateOrder.fit(examples, config.order, channel.objective, config.seed)
    measures: dict[str, Any] = {
        "requests": len(requests),
        "requests_with_target": len(examples.count_Q),
        "targets": int(examples.is_target_R.sum()),
    }
    if order is None:
        return None, measures
    is_better, measures["validation"] = validate(order)
    return (order if is_better else None), measures


def compare_orders(
    channel: OrderedChannel[Any],
    order: CandidateOrder,
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
