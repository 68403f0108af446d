"""Nearest items, where one that nobody has played yet has to be near enough: the interest boundary.

A cold item is known by its content alone, and there may be many. A score of its own decides whether it may enter an
answer: only if it suits the user at least as well as tracks that users did listen to would, were they known by their
content alone; it is learned on validation. After Zhuo, Zhu, Yue, Zhao, "Learning Explicit User Interest Boundary for
Recommendation" (WWW 2022), arXiv 2111.11026. Different there: each user has a boundary, learned with the model, and
every item has to pass it; here one number a task, a quantile of positives' scores, stands before cold items only.
Legend: N items, B requests, Q queries of one, K results, T targets, D width. Knows nothing about where content is from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from training.data.ragged import Ragged
from training.data.recall_at_k import iterate_chunks
from training.data.recall_cases import RecallCases
from training.data.user_batch import UserBatch
from training.index.exact import ExactIndex, Index
from training.nn.item_tower import ItemCodes

CASE_KIND_BY_TASK = {"next": "targets", "new": "discovery"}
"""What each task should find."""


@dataclass(frozen=True)
class ColdStartIndex:
    """`warm` items are found as ever, `cold` ones from a boundary on; without cold ones it is the warm index."""

    warm: Index
    cold: ExactIndex

    def search(
        self, query_BD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None, cold_item_threshold: float = np.inf
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `Index.search`; cold items that score `least` or more (infinity: no cold items) among the others."""
        return self.search_best(query_BD[:, None], k, exclude_BX, np.full(len(query_BD), cold_item_threshold))

    def search_best(
        self, query_BQD: torch.Tensor, k: int, exclude_BX: np.ndarray | None, cold_item_threshold_B: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `Index.search_best`, with a boundary for each row; infinity lets no cold item in."""
        items, scores = self.warm.search_best(query_BQD, k, exclude_BX)
        if not len(self.cold.items) or not (cold_item_threshold_B < np.inf).any():
            return items, scores
        new, score = self.cold.search_best(query_BQD, k, exclude_BX)
        score = np.where(score >= cold_item_threshold_B[:, None], score, -np.inf).astype(np.float32)
        items, scores = np.concatenate([items, new], axis=1), np.concatenate([scores, score], axis=1)
        best = np.lexsort((items, -scores), axis=1)[:, :k]
        items, scores = np.take_along_axis(items, best, axis=1), np.take_along_axis(scores, best, axis=1)
        return np.where(np.isfinite(scores), items, 0), scores


@torch.no_grad()
def score_positives_as_cold(
    query_BQD: torch.Tensor, targets: Ragged, vectors: Callable[[torch.Tensor, bool], torch.Tensor], codes: ItemCodes
) -> np.ndarray:
    """Scores that the targets with content would have were they cold, each with the best query of its request."""
    assert codes.content_V is not None  # noqa: S101
    is_known = codes.content_V.numpy()[targets.items] > 0
    item_T = torch.from_numpy(targets.items[is_known])
    query_TQD = query_BQD[torch.from_numpy(targets.case_per_item[is_known])]
    score_TQ = (query_TQD @ vectors(item_T, True)[..., None]).squeeze(-1)
    best: np.ndarray = score_TQ.amax(1).numpy() if len(item_T) else np.zeros(0, dtype=np.float32)
    return best


def compute_cold_item_thresholds(
    cases: RecallCases,
    batches: Sequence[UserBatch],
    queries: Callable[[UserBatch], tuple[np.ndarray, dict[str, torch.Tensor]]],
    vectors: Callable[[torch.Tensor, bool], torch.Tensor],
    codes: ItemCodes,
    quantile: float,
) -> dict[str, float]:
    """For each task the score that a share of 1 - `quantile` of its positives reaches; none where it has no positive.

    `batches` are the cases' requests as `user_batches` gives them; `queries` says which of a batch ask, and of those the
    queries of each task [B, Q, D]; `vectors` takes items, and whether to take them for cold.
    """
    scores: dict[str, list[np.ndarray]] = {}
    for rows, users in zip(iterate_chunks(len(cases)), batches, strict=True):
        asking, by_task = queries(users)
        some = cases.take(rows[asking])
        for task, query_BQD in by_task.items():
            found = score_positives_as_cold(query_BQD, some.items[CASE_KIND_BY_TASK[task]], vectors, codes)
            scores.setdefault(task, []).append(found)
    together = {task: np.concatenate(parts) for task, parts in scores.items()}
    return {task: float(np.quantile(one, quantile)) for task, one in together.items() if len(one)}
