"""Tracks that users play after the seeds, by the linear transition model of the channel `realtime`."""

from __future__ import annotations

import numpy as np

from training.recall.channel import Candidates
from training.recall.continuation.source import top_k_items
from training.recall.flat_histories import Histories
from training.recall.realtime.channel import Realtime


class TransitionNeighbors:
    """Tracks of the catalog by their transition score after the seeds, as if a user had just played them in order.

    Args:
        realtime: A channel with transitions.
    """

    name = "transitions"

    def __init__(self, realtime: Realtime) -> None:
        self._realtime = realtime

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Candidates:
        """See `ContinuationSource`; ignores the title."""
        del title
        transitions = self._realtime.transitions
        if transitions is None or not len(items_S):
            return Candidates.empty(k)
        catalog = self._realtime.catalog
        score_V = np.zeros(len(self._realtime.vocabulary), dtype=np.float32)
        score_V[catalog] = transitions.scores(Histories(items_S, np.array([0, len(items_S)])), catalog)[0]
        return top_k_items(score_V, items_S, k)
