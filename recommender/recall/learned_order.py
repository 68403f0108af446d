"""Learned order of a channel's candidates: boosted trees on top of the order by activation.

The score of a candidate is `-log(1 + rank) + trees`, with trees that were fitted as a correction of the rank, by
LambdaMART (Burges 2010, MSR-TR-2010-82). Without trees, or where they have nothing to say, the order by activation
remains. The trees learn from past requests, and are kept if they are significantly better on validation.

Legend: B requests, Q past requests, R candidates of all of them, C and K candidates of one request, F features, U users.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from config.dataclass_io import Section
from recommender.array_types import Floats, Ints
from recommender.nn.trees import Trees
from recommender.recall.channel import Config, RecallChannel, pad_rows
from recommender.user.user_batch import UserBatch

ORDER_FILE = "order.txt"

Ranked = tuple[Ints, Any]
"""Candidates of one request by activation, and what `OrderedChannel.features` computes their features of."""


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


def reorder(order: Trees, item_K: Ints, features_CF: Floats) -> Ints:
    """The items of one request by the learned order. Runs on the calling thread.

    Args:
        order: Fitted trees.
        item_K: Items by activation.
        features_CF: Features of the first C of them, at least one. Further items follow in their order.
    """
    C, base_K = len(features_CF), base_scores(len(item_K))
    score_K = base_K.copy()
    score_K[:C] += order.predict(np.zeros((1, 0), dtype=np.float32), features_CF[None])[0]
    score_K[C:] += min(score_K[:C].min() - base_K[C - 1], 0.0)
    return item_K[np.argsort(-score_K, kind="stable")]


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
    order: Trees | None
    resolved_config: Any

    @abstractmethod
    def rank(self, users: UserBatch, k: int) -> Iterator[Ranked]:
        """The `k` most active candidates of each request, ties by smaller item code."""

    @abstractmethod
    def features(self, source: Any, item_C: Ints) -> Floats:
        """Features [C, F] of the first candidates of a request, at least one; `source` is the second part of `rank`."""

    def recall(self, users: UserBatch, k: int) -> Ints:
        """The `k` best candidates: by the learned order if there is one, else by activation."""
        order, pool = self.order, self.resolved_config.order.pool
        if order is None:
            return pad_rows((item_C for item_C, _ in self.rank(users, k)), k)
        ranked = self.rank(users, max(k, pool))
        return pad_rows(
            (
                reorder(order, item_C, self.features(source, item_C[:pool])) if len(item_C) else item_C
                for item_C, source in ranked
            ),
            k,
        )

    def candidate_features(self, users: UserBatch) -> Iterator[tuple[np.ndarray, Floats]]:
        """For each request: the candidates [C] that a learned order sorts, by activation, and their features [C, F]."""
        for item_C, source in self.rank(users, self.resolved_config.order.pool):
            yield item_C, self.features(source, item_C) if len(item_C) else np.zeros((0, 0), dtype=np.float32)

    def save_order(self, folder: Path) -> None:
        """Write the trees into ORDER_FILE, if there are any."""
        (folder / ORDER_FILE).unlink(missing_ok=True)
        if self.order is not None:
            self.order.save(folder / ORDER_FILE)
