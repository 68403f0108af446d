"""How much of what was listened to a channel finds: recall at k, the way the anchors score it.

Averaged over a user's cases, then over users, so that a heavy listener counts as much as any other. Legend: C cases, K
candidates. Knows nothing about channels; intervals and reports are `training.evaluation`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from training.data.ragged import Ragged
from training.data.recall_cases import CASE_KINDS, RecallCases
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures, UserBatch

CASES_PER_CHUNK = 256


def recall_from_hits(k: int, hits_CK: np.ndarray, targets_C: np.ndarray) -> np.ndarray:
    """Share of each case's number of targets that its first `k` candidates hit, [C]; NaN for a case without targets."""
    found_C, nothing_C = hits_CK[:, :k].sum(1), np.full(len(targets_C), np.nan)
    share_C: np.ndarray = np.divide(found_C, targets_C, out=nothing_C, where=targets_C > 0)
    return share_C


def recall_at_k(items_CK: np.ndarray, targets: Ragged, k: int) -> np.ndarray:
    """`recall_at` of candidates and targets, [C]."""
    return recall_from_hits(k, targets.contains(items_CK[:, :k]), targets.count_C)


def mean_over_users(value_C: np.ndarray, user_C: np.ndarray) -> float:
    """Mean over a user's cases, then over users; cases that are NaN are left out, and users who have no others. NaN if
    none has.
    """
    value_U = mean_per_user(value_C, user_C)
    return float(value_U.mean()) if len(value_U) else float("nan")


def mean_per_user(value_C: np.ndarray, user_C: np.ndarray) -> np.ndarray:
    """Mean over the cases of each user who has one that is not NaN, by user [U]."""
    known = ~np.isnan(value_C)
    place = np.unique(user_C[known], return_inverse=True)[1]
    value_U: np.ndarray = np.bincount(place, weights=value_C[known]) / np.bincount(place)
    return value_U


def recall_table(items_CK: np.ndarray, cases: RecallCases, cutoffs: tuple[int, ...] = (50, 200)) -> dict[str, float]:
    """`recall_at_<k>/<kind>` for each cutoff and kind (all, repeat, discovery, reachable)."""
    return {
        f"recall_at_{k}/{'all' if kind == 'targets' else kind}": mean_over_users(
            recall_at_k(items_CK, cases.items[kind], k), cases.user_C
        )
        for k in cutoffs
        for kind in CASE_KINDS
    }


def validation_objective(table: dict[str, float], cutoffs: tuple[int, int] = (50, 200)) -> float:
    """What choices on validation maximise: recall of everything at both cutoffs, and of reachable discoveries at the
    larger one.

    Four in five plays repeat, so that recall of everything alone would leave discoveries no place; they have a term of
    their own, which is 0 where no case has one.
    """
    first, second = cutoffs
    parts = (f"recall_at_{first}/all", f"recall_at_{second}/all", f"recall_at_{second}/reachable")
    return float(sum(np.nan_to_num(table[part]) for part in parts))


def iterate_chunks(count: int, size: int = CASES_PER_CHUNK) -> Iterator[np.ndarray]:
    """Row numbers 0..count in pieces that fit in memory."""
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def load_user_batches(data: TrainingData, cases: RecallCases, service: str) -> list[UserBatch]:
    """The cases' requests with their features, in chunks."""
    features = OfflineFeatures(data)
    chunks = [cases.take(rows) for rows in iterate_chunks(len(cases))]
    return [features.load_user_batch(service, one.user_ids.tolist(), one.request_at_C) for one in chunks]


def recall_in_chunks(cases: RecallCases, recall: Callable[[RecallCases], np.ndarray]) -> np.ndarray:
    """Candidates of every case, [C, K], asked for in chunks."""
    parts = [recall(cases.take(rows)) for rows in iterate_chunks(len(cases))]
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.int64)
