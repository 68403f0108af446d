"""Recall cases, one per session with the tracks listened to in it as targets, and recall at k on them.

`TrainingData.recall_cases` builds the cases. Recall at k is the metric of recall channels: averaged over the cases of a
user, then over users, so that heavy listeners count as much as others. Confidence intervals and reports are in
`training.evaluation`.

Legend: C cases, K candidates, U users.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommender.catalog.arrays import Ragged

CASE_KINDS = ("targets", "repeat", "discovery", "reachable")
CASES_PER_CHUNK = 256
MIN_GAIN = 1e-4  # of a mean over users that is accepted
MIN_SAMPLE = 200  # cases that decide on parameters, if there are as many
MIN_USERS = 10  # fewer do not allow conclusions about other users


@dataclass(frozen=True)
class RecallCases:
    """C sessions to predict, one request each."""

    user_ids: np.ndarray
    user_C: np.ndarray  # index of the user
    play_number_C: np.ndarray  # number of the session's first play among the user's plays
    request_at_C: np.ndarray  # µs UTC
    scenes: np.ndarray  # None if the log has no scene
    items: dict[str, Ragged]  # targets by each of CASE_KINDS

    def __len__(self) -> int:
        """Number of cases, C."""
        return len(self.user_C)

    def take(self, rows: np.ndarray) -> RecallCases:
        """The cases of `rows`, in that order."""
        return RecallCases(
            self.user_ids[rows],
            self.user_C[rows],
            self.play_number_C[rows],
            self.request_at_C[rows],
            self.scenes[rows],
            {kind: lists.take(rows) for kind, lists in self.items.items()},
        )

    def chunks(self, size: int = CASES_PER_CHUNK) -> list[RecallCases]:
        """The cases in parts of `size`."""
        return [self.take(rows) for rows in row_chunks(len(self), size)]

    def number_per_user(self, limit: int) -> int:
        """`limit` cases of each user; of few users as many more as MIN_SAMPLE cases in all take."""
        return max(limit, math.ceil(MIN_SAMPLE / max(len(np.unique(self.user_C)), 1)))

    def sample(self, per_user: int, seed: int, max_cases: int | None = None) -> RecallCases:
        """A random sample of at most `per_user` cases per user and `max_cases` in all, in the original order."""
        shuffled = np.random.default_rng(seed).permutation(len(self))
        shuffled = shuffled[np.argsort(self.user_C[shuffled], kind="stable")]
        users = self.user_C[shuffled]
        first = np.searchsorted(users, users)
        sampled = shuffled[np.arange(len(users)) - first < per_user]
        if max_cases is not None:
            sampled = np.random.default_rng(seed).permutation(sampled)[:max_cases]
        return self.take(np.sort(sampled))


def recall_at_k(items_CK: np.ndarray, targets: Ragged, k: int) -> np.ndarray:
    """Recall at k of each case from its candidates and targets, [C]."""
    return recall_from_hits(k, targets.contains(items_CK[:, :k]), targets.count_C)


def recall_from_hits(k: int, hits_CK: np.ndarray, targets_C: np.ndarray) -> np.ndarray:
    """Recall at k of each case [C], NaN for a case without targets.

    Args:
        k: Cutoff.
        hits_CK: Whether each candidate, best first, is a target.
        targets_C: Number of targets of each case.
    """
    hits_C, nan_C = hits_CK[:, :k].sum(1), np.full(len(targets_C), np.nan)
    return np.divide(hits_C, targets_C, out=nan_C, where=targets_C > 0)


def recall_table(items_CK: np.ndarray, cases: RecallCases, cutoffs: tuple[int, ...] = (50, 200)) -> dict[str, float]:
    """Recall by `recall_at_<k>/<kind>` for each cutoff and kind (all, repeat, discovery, reachable)."""
    return {
        f"recall_at_{k}/{'all' if kind == 'targets' else kind}": mean_over_users(
            recall_at_k(items_CK, cases.items[kind], k), cases.user_C
        )
        for k in cutoffs
        for kind in CASE_KINDS
    }


def validation_objective(table: dict[str, float], cutoffs: tuple[int, int] = (50, 200)) -> float:
    """Objective of tuning on validation.

    The sum of the recall of all targets at both cutoffs and the recall of reachable discoveries at the larger one.
    Four of five plays are repeats, so recall of all targets alone would push discoveries out. The term for discoveries
    is 0 if no case has a reachable one.
    """
    first, second = cutoffs
    parts = (f"recall_at_{first}/all", f"recall_at_{second}/all", f"recall_at_{second}/reachable")
    return float(sum(np.nan_to_num(table[part]) for part in parts))


def recall_draws(
    lists: Sequence[np.ndarray], cases: RecallCases, draws: int, parts: Sequence[tuple[str, int]]
) -> np.ndarray:
    """Sum of the recall of some kinds of targets of S systems in random samples of the users, with replacement, [R, S].

    All systems have the same samples. With fewer than MIN_USERS users, cases are sampled instead of users.

    Args:
        lists: Items [C, K] of each system.
        cases: Their cases.
        draws: Number of samples, R.
        parts: Kind of targets and cutoff of each recall.
    """
    users_C = np.unique(cases.user_C, return_inverse=True)[1]
    unit_C = users_C if users_C.max(initial=-1) + 1 >= MIN_USERS else np.arange(len(cases))
    units = int(unit_C.max(initial=-1)) + 1
    count_RU = np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), size=draws)
    sum_RS = np.zeros((draws, len(lists)))
    for kind, k in parts:
        value_CS = np.stack([recall_at_k(items_CK, cases.items[kind], k) for items_CK in lists], axis=1)
        rows = np.flatnonzero(cases.items[kind].count_C)
        cases_U = np.bincount(unit_C[rows], minlength=units)
        mean_US = np.zeros((units, len(lists)))
        np.add.at(mean_US, unit_C[rows], value_CS[rows])
        mean_US /= np.maximum(cases_U, 1)[:, None]
        sum_RS += count_RU @ mean_US / np.maximum(count_RU @ (cases_U > 0), 1)[:, None]
    return sum_RS


def mean_over_users(value_C: np.ndarray, user_C: np.ndarray) -> float:
    """Mean over the cases of each user, then over users, without NaN cases; NaN if all cases are NaN."""
    value_U = mean_per_user(value_C, user_C)
    return float(value_U.mean()) if len(value_U) else float("nan")


def mean_per_user(value_C: np.ndarray, user_C: np.ndarray) -> np.ndarray:
    """Mean over the cases of each user, by user [U]; NaN cases and users with only NaN cases are left out."""
    is_valid_C = ~np.isnan(value_C)
    user = np.unique(user_C[is_valid_C], return_inverse=True)[1]
    return np.bincount(user, weights=value_C[is_valid_C]) / np.bincount(user)


def is_significant_gain(difference_U: np.ndarray) -> bool:
    """Whether the mean gain over users exceeds its standard error and MIN_GAIN; for one user, MIN_GAIN only."""
    error = difference_U.std(ddof=1) / np.sqrt(len(difference_U)) if len(difference_U) > 1 else 0.0
    return bool(difference_U.mean() > max(error, MIN_GAIN))


def row_chunks(count: int, size: int = CASES_PER_CHUNK) -> list[np.ndarray]:
    """Row numbers 0..count in chunks of `size`."""
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
