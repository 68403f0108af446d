"""Tracks that sound, look and read like the seeds, also those without plays, by the content that `realtime` has learned from."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from training.index.exact import ExactIndex
from training.recall.channel import Candidates
from training.recall.realtime.channel import Realtime

MAX_TRACKS = 200_000
"""The most played tracks that are compared; 256 bytes each."""


class ContentNeighbors:
    """Tracks of the catalog by the cosine between their content and the mean content of the seeds.

    Args:
        realtime: A channel with content.
    """

    name = "content"

    def __init__(self, realtime: Realtime) -> None:
        self._codes = realtime.item_codes
        # Items are numbered by decreasing play count.
        items = realtime.catalog[:MAX_TRACKS]
        row_NW = self._content(items)
        has_content_N = row_NW.any(dim=1)
        self._index = ExactIndex.of(items[has_content_N.numpy()], row_NW[has_content_N])

    def continue_playlist(self, items_S: np.ndarray, title: str, k: int) -> Candidates:
        """See `ContinuationSource`; ignores the title, and seeds without content."""
        del title
        mean_1W = self._content(items_S).sum(0, keepdim=True)
        if not mean_1W.any():
            return Candidates.empty(k)
        found = self._index.search(functional.normalize(mean_1W, dim=1), k, items_S[None])
        return Candidates.pad_or_truncate(*found, k)

    def _content(self, items: np.ndarray) -> torch.Tensor:
        """Content of items as rows of unit length, or of zeros [N, W]."""
        content_V, content_RW = self._codes.content_V, self._codes.content_RW
        if content_V is None or content_RW is None:
            return torch.zeros(len(items), 0)
        return functional.normalize(content_RW[content_V[torch.from_numpy(items)]].float(), dim=1)
