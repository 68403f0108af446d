"""Cold-start index: nearest items, where unplayed items must exceed a score threshold.

A cold item is known only by its content, and there may be many of them. It is returned only if it scores at least as
high as items that users did listen to would score if they were known only by their content. The threshold is tuned on
validation. After Zhuo, Zhu, Yue, Zhao, "Learning Explicit User Interest Boundary for Recommendation" (WWW 2022), arXiv
2111.11026. Difference: there every user has a threshold that is learned with the model and applies to all items; here
one number per task, a quantile of the positives' scores, applies to cold items only.

Legend: N items, B requests, Q queries per request, K results, T targets, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from training.data.ragged import Ragged
from training.data.recall_cases import RecallCases, iterate_chunks
from training.data.user_batch import UserBatch
from training.index.exact import ExactIndex, Index
from training.nn.item_tower import ItemCodes

CASE_KIND_BY_TASK = {"next": "targets", "new": "discovery"}
"""Kind of targets that each task should find."""


@dataclass(frozen=True)
class ColdStartIndex:
    """Searches `warm` items without a threshold and `cold` items with one."""

    warm: Index
    cold: ExactIndex

    def search(
        self, query_BD: torch.Tensor, k: int, exclude_BX: np.ndarray | None = None, cold_item_threshold: float = np.inf
    ) -> tuple[np.ndarray, np.ndarray]:
        """`Index.search` that includes cold items with a score of `cold_item_threshold` or more (infinity: none)."""
        return self.search_best(query_BD[:, None], k, exclude_BX, np.full(len(query_BD), cold_item_threshold))

    def search_best(
        self, query_BQD: torch.Tensor, k: int, exclude_BX: np.ndarray | None, cold_item_threshold_B: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`Index.search_best` with a threshold of cold items per row; infinity excludes them."""
        items, scores = self.warm.search_best(query_BQD, k, exclude_BX)
        if not len(self.cold.items) or not (cold_item_threshold_B < np.inf).any():
            return items, scores
        cold_items, cold_scores = self.cold.search_best(query_BQD, k, exclude_BX)
        is_above_BK = cold_scores >= cold_item_threshold_B[:, None]
        cold_scores = np.where(is_above_BK, cold_scores, -np.inf).astype(np.float32)
        items, scores = np.concatenate([items, cold_items], axis=1), np.concatenate([scores, cold_scores], axis=1)
        best = np.lexsort((items, -scores), axis=1)[:, :k]
        items, scores = np.take_along_axis(items, best, axis=1), np.take_along_axis(scores, best, axis=1)
        return np.where(np.isfinite(scores), items, 0), scores


@torch.no_grad()
def score_positives_as_cold(
    query_BQD: torch.Tensor, targets: Ragged, vectors: Callable[[torch.Tensor, bool], torch.Tensor], codes: ItemCodes
) -> np.ndarray:
    """Score that each target with content would have as a cold item, by the best query of its request."""
    assert codes.content_V is not None  # noqa: S101
    has_content = codes.content_V.numpy()[targets.items] > 0
    item_T = torch.from_numpy(targets.items[has_content])
    query_TQD = query_BQD[torch.from_numpy(targets.case_per_item[has_content])]
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
    """Threshold of each task: the `quantile` of the scores of its positives, taken as cold items.

    Args:
        cases: Validation cases.
        batches: Their requests, from `load_user_batches`.
        queries: Returns which requests of a batch have a query, and their queries by task [B, Q, D].
        vectors: Item vectors; the second argument says whether the items are cold.
        codes: Codes of the items, with content.
        quantile: Share of the positives that score below the threshold.

    Returns:
        Threshold by task; tasks without positives are missing.
    """
    scores: dict[str, list[np.ndarray]] = {}
    for rows, users in zip(iterate_chunks(len(cases)), batches, strict=True):
        has_query, by_task = queries(users)
        chunk = cases.take(rows[has_query])
        for task, query_BQD in by_task.items():
            task_scores = score_positives_as_cold(query_BQD, chunk.items[CASE_KIND_BY_TASK[task]], vectors, codes)
            scores.setdefault(task, []).append(task_scores)
    joined = {task: np.concatenate(parts) for task, parts in scores.items()}
    return {task: float(np.quantile(values, quantile)) for task, values in joined.items() if len(values)}
