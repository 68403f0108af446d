"""What recall is asked for: one case a session, with what was listened to in it.

Legend: C cases. Who makes them: `TrainingData.recall_cases`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data.ragged import Ragged

CASE_KINDS = ("targets", "repeat", "discovery", "reachable")


@dataclass(frozen=True)
class RecallCases:
    """C sessions to predict, one a row: who asks, when, and what was listened to (`items["targets"]`; see
    `TrainingData.recall_cases`).
    """

    user_ids: np.ndarray
    user_C: np.ndarray
    play_number_C: np.ndarray
    request_at_C: np.ndarray
    scenes: np.ndarray
    items: dict[str, Ragged]

    def __len__(self) -> int:
        """C."""
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

    def sample(self, per_user: int, seed: int, most: int | None = None) -> RecallCases:
        """At most `per_user` cases of each user and `most` of all, drawn by `seed`, in the original order."""
        shuffled = np.random.default_rng(seed).permutation(len(self))
        shuffled = shuffled[np.argsort(self.user_C[shuffled], kind="stable")]
        users = self.user_C[shuffled]
        first = np.searchsorted(users, users)
        drawn = shuffled[np.arange(len(users)) - first < per_user]
        if most is not None:
            drawn = np.random.default_rng(seed).permutation(drawn)[:most]
        return self.take(np.sort(drawn))
