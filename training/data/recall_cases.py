"""Recall cases: one per session, with the tracks listened to in it as targets. See `TrainingData.recall_cases`.

Legend: C cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data.ragged import Ragged

CASE_KINDS = ("targets", "repeat", "discovery", "reachable")


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
