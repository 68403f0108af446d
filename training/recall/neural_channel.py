"""A channel that asks an index of item vectors: exact while its network learns, chosen by what it is asked afterwards,
with a boundary before what nobody has played.

Knows nothing about networks.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from training.data.recall_at_k import load_user_batches
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch
from training.index.cold_start import ColdStartIndex, compute_cold_item_thresholds
from training.index.exact import ExactIndex
from training.index.ivf import IVFIndex
from training.index.tuning import RECALL_CUTOFF, RecordingIndex, choose_index
from training.nn.item_tower import ItemCodes
from training.recall.channel import Candidates, RecallChannel

ITEMS_PER_CHUNK = 65_536
REQUESTS_PER_USER, MAX_REQUESTS = 20, 300

logger = logging.getLogger(__name__)


class NeuralChannel(RecallChannel):
    """`index` holds the vectors of the items of `catalogue`, the cold ones of `codes` behind a boundary.

    `settled` has `exact_up_to` and `seed`, and `probes` of an approximate index (None: it is exact); `boundaries` by
    task (None: not learned yet) and the `boundary_quantile` to learn them by. Cold items are searched exactly, however
    many there are.
    """

    catalog: np.ndarray
    index: ColdStartIndex

    @property
    @abstractmethod
    def item_codes(self) -> ItemCodes:
        """What the item tower knows of each track."""

    @abstractmethod
    def vectors(self, items: torch.Tensor, as_cold: bool = False) -> torch.Tensor:
        """Item vectors as queries are compared with them; `as_cold`: see `ItemTower`."""

    @abstractmethod
    def encode_queries(self, users: UserBatch) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        """Which of the requests have something to ask, and of those the queries of each task [B, Q, D]."""

    def rebuild_index(self) -> None:
        """Index the item vectors of the current weights as `settled` says."""
        warm, cold, probes = *self._build_exact_indexes(), self.resolved_config.probes
        self.index = ColdStartIndex(
            warm if probes is None else IVFIndex.of(warm, probes, self.resolved_config.seed), cold
        )

    def fit_index(self, requests: Callable[[], Iterable[UserBatch]]) -> dict[str, Any]:
        """Choose the index of the learned vectors and `settled.probes` by what the channel asks it for some requests,
        which are only read if there is a choice; what is known of it (see `index_of`), and `cold_vectors` if there are.
        """
        (warm, cold), config = self._build_exact_indexes(), self.resolved_config
        watched = RecordingIndex.wrap(warm)
        if config.exact_up_to is not None and len(warm.items) > config.exact_up_to:
            self.index = ColdStartIndex(watched, cold)
            for users in requests():
                self.recall(users, RECALL_CUTOFF)
        index, known = choose_index(warm, config.exact_up_to, watched.searches, config.seed)
        self.index = ColdStartIndex(index, cold)
        self.resolved_config = replace(config, probes=known.get("probes"))
        if config.exact_up_to is not None and len(cold.items) > config.exact_up_to:
            logger.warning(
                "%d vectors of tracks that nobody has played are searched exactly, though exact_up_to=%d: each search takes as long "
                "as so many do; have fewer of them in the catalogue, or set content='off'",
                *(len(cold.items), config.exact_up_to),
            )
        return known | ({"cold_vectors": len(cold.items)} if len(cold.items) else {})

    def needs_cold_item_thresholds(self, cases: RecallCases) -> bool:
        """Whether `settle_boundaries` has something to learn, and cases to learn it from."""
        return (
            self.item_codes.is_cold_V is not None
            and self.resolved_config.cold_item_thresholds is None
            and len(cases) > 0
        )

    def fit_cold_item_thresholds(self, cases: RecallCases, batches: Sequence[UserBatch]) -> None:
        """Learn `settled.boundaries` if they are lacking; `batches` are the requests of `cases`."""
        if self.needs_cold_item_thresholds(cases):
            quantile = self.resolved_config.cold_item_quantile
            learned = compute_cold_item_thresholds(
                cases, batches, self.encode_queries, self.vectors, self.item_codes, quantile
            )
            self.resolved_config = replace(self.resolved_config, cold_item_thresholds=learned)

    def cold_item_threshold(self, task: str) -> float:
        """The score from which on a cold item may answer the task; infinity where none may."""
        learned: dict[str, float] = self.resolved_config.cold_item_thresholds or {}
        return learned.get(task, np.inf)

    @torch.no_grad()
    def nearest_items(self, item: int, k: int) -> Candidates:
        """The `k` items whose vectors are nearest to that of `item`, itself left out, [1, K].

        No cold item is among them: the boundaries were learned from what users ask, and tell nothing of how near to a
        track a cold one has to be.
        """
        vector_1D = self.vectors(torch.tensor([item]))
        return Candidates.pad_or_truncate(*self.index.search(vector_1D, k, np.array([[item]])), k)

    def _build_exact_indexes(self) -> tuple[ExactIndex, ExactIndex]:
        """Of the items that are not cold, and of those that are."""
        is_cold_V = self.item_codes.is_cold_V
        is_cold_N = np.zeros(len(self.catalog), dtype=bool) if is_cold_V is None else is_cold_V.numpy()[self.catalog]
        return self._build_exact_index(self.catalog[~is_cold_N]), self._build_exact_index(self.catalog[is_cold_N])

    @torch.no_grad()
    def _build_exact_index(self, items: np.ndarray) -> ExactIndex:
        parts = torch.from_numpy(items).split(ITEMS_PER_CHUNK) if len(items) else ()
        vectors = [self.vectors(part) for part in parts]
        return ExactIndex.of(items, torch.cat(vectors) if vectors else torch.zeros(0, self.resolved_config.width))


def sample_tuning_requests(data: TrainingData, service: str, seed: int) -> list[UserBatch]:
    """Requests of `train` to choose an index by."""
    cases = data.recall_cases("train").sample(REQUESTS_PER_USER, seed, MAX_REQUESTS)
    return load_user_batches(data, cases, service)
