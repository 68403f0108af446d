"""Thresholds of cold items in a search, tuned on validation.

A cold item is known only by its content, and there may be many of them. It is returned only if it scores at least as
high as items that users did listen to would score if they were known only by their content.

Legend: B requests, Q queries per request, T targets, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from training.data.ragged import Ragged
from training.data.recall_cases import RecallCases, iterate_chunks
from training.data.user_batch import UserBatch
from training.nn.item_tower import ItemCodes

CASE_KIND_BY_TASK = {"next": "targets", "new": "discovery"}
"""Kind of targets that each task should find."""


@torch.no_grad()
def score_positives_as_cold(
    query_BQD: np.ndarray, targets: Ragged, vectors: Callable[[torch.Tensor, bool], torch.Tensor], codes: ItemCodes
) -> np.ndarray:
    """Score that each target with content would have as a cold item, by the best query of its request."""
    assert codes.content_V is not None  # noqa: S101
    has_content = codes.content_V.numpy()[targets.items] > 0
    item_T = torch.from_numpy(targets.items[has_content])
    query_TQD = torch.as_tensor(query_BQD)[torch.from_numpy(targets.case_per_item[has_content])]
    score_TQ = (query_TQD @ vectors(item_T, True)[..., None]).squeeze(-1)
    best: np.ndarray = score_TQ.amax(1).numpy() if len(item_T) else np.zeros(0, dtype=np.float32)
    return best


def compute_cold_item_thresholds(
    cases: RecallCases,
    batches: Sequence[UserBatch],
    queries: Callable[[UserBatch], tuple[np.ndarray, dict[str, np.ndarray]]],
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
