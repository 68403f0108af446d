"""A channel that asks an index of item vectors: exact while its network learns, chosen by what it is asked afterwards.

Knows nothing about networks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from training.data import TrainingData
from training.features import UserBatch
from training.recall.approximate_index import ApproximateIndex
from training.recall.channel import RecallChannel
from training.recall.chosen_index import K, WatchedIndex, index_of
from training.recall.index import ExactIndex, Index
from training.recall.measure import user_batches

ITEMS_AT_ONCE = 65_536
REQUESTS_OF_A_USER, REQUESTS = 20, 300


class IndexedChannel(RecallChannel):
    """`index` holds the vectors of the items of `catalogue`; `settled` has `exact_up_to` and `seed`, and `probes` of an
    approximate index (None: it is exact).
    """

    catalogue: np.ndarray
    index: Index

    @abstractmethod
    def vectors(self, items: torch.Tensor) -> torch.Tensor:
        """Item vectors as queries are compared with them."""

    def refresh(self) -> None:
        """Index the item vectors of the current weights as `settled` says."""
        exact, probes = self._exact(), self.settled.probes
        self.index = exact if probes is None else ApproximateIndex.of(exact, probes, self.settled.seed)

    def settle_index(self, requests: Callable[[], Iterable[UserBatch]]) -> dict[str, Any]:
        """Choose the index of the learned vectors and `settled.probes` by what the channel asks it for some requests,
        which are only read if there is a choice; what is known of it.
        """
        exact, config = self._exact(), self.settled
        watched = WatchedIndex.over(exact)
        if config.exact_up_to is not None and len(exact.items) > config.exact_up_to:
            self.index = watched
            for users in requests():
                self.recall(users, K)
        self.index, known = index_of(exact, config.exact_up_to, watched.searches, config.seed)
        self.settled = replace(config, probes=known.get("probes"))
        return known

    @torch.no_grad()
    def _exact(self) -> ExactIndex:
        parts = torch.from_numpy(self.catalogue).split(ITEMS_AT_ONCE) if len(self.catalogue) else ()
        vectors = [self.vectors(part) for part in parts]
        return ExactIndex.of(self.catalogue, torch.cat(vectors) if vectors else torch.zeros(0, self.settled.width))


def some_requests(data: TrainingData, service: str, seed: int) -> list[UserBatch]:
    """Requests of `train` to choose an index by."""
    cases = data.recall_cases("train").sample(REQUESTS_OF_A_USER, seed, REQUESTS)
    return user_batches(data, cases, service)
