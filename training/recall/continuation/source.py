"""Interface of the sources of playlist continuation: `k` candidates for the seeds and the title of one playlist.

Legend: S seeds, K candidates, V vocabulary.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from training.index.top_k import top_k_positions
from training.recall.channel import Candidates, RecallChannel

TITLE_SOURCES = ("title_words", "title_playlists")
"""Sources that read the title; of the seeds they read what the candidates must have."""


class ContinuationSource(Protocol):
    """One way to continue a playlist. A source does not read users, so its results depend on its arguments only."""

    @property
    def name(self) -> str:
        """Name of the source in responses and weights."""

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Candidates:
        """The `k` best items for a playlist, without its seeds, [1, K]; empty if the source has nothing to go by.

        Args:
            items_S: Distinct seeds in the order of the playlist; may be empty.
            title: Title of the playlist; may be empty.
            k: Number of candidates.
        """


class SimilarItems:
    """Items that a recall channel finds similar to the seeds."""

    def __init__(self, channel: RecallChannel) -> None:
        self.name, self._channel = channel.name, channel

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Candidates:
        """See `ContinuationSource`."""
        del title
        return self._channel.similar_items(items_S, k) if len(items_S) else Candidates.empty(k)


def top_k_items(score_V: np.ndarray, excluded: np.ndarray, k: int) -> Candidates:
    """The `k` items with the highest positive scores, ties by smaller (more played) item, [1, K]; changes `score_V`.

    Args:
        score_V: Score of each item.
        excluded: Items to leave out.
        k: Number of candidates.
    """
    score_V[excluded] = 0
    item = np.flatnonzero(score_V > 0)
    item = item[top_k_positions(score_V[item], k)]
    return Candidates.pad_or_truncate(item[None, :], score_V[item].astype(np.float32)[None, :], k)
