"""One list from many: the channels' candidates merged by the release's fusion, each with who found it.

Legend: C candidates of one request, best first. The fusion itself is the release's; knows nothing about filters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from serving.scenes import Scene
from serving.served_release import ServedRelease
from training.recall.channel import Candidates


@dataclass(frozen=True)
class Fused:
    """C items, best first: `scores_C` 0..1, `channels_C` who found each, the one that ranked it best first."""

    items_C: np.ndarray
    scores_C: np.ndarray
    channels_C: list[list[str]]

    def __len__(self) -> int:
        """C."""
        return len(self.items_C)

    def take(self, places: np.ndarray | list[int]) -> Fused:
        """The candidates at these places, in this order."""
        index = np.asarray(places, dtype=np.int64)
        return Fused(self.items_C[index], self.scores_C[index], [self.channels_C[place] for place in index])

    def first(self, count: int) -> Fused:
        """The best `count`."""
        return Fused(self.items_C[:count], self.scores_C[:count], self.channels_C[:count])

    def followed_by(self, more: Fused) -> Fused:
        """These, then `more` at score 0: they come after everything that was asked for."""
        return Fused(
            np.concatenate([self.items_C, more.items_C]),
            np.concatenate([self.scores_C, np.zeros(len(more))]),
            self.channels_C + more.channels_C,
        )

    def scored(self, scores_C: np.ndarray) -> Fused:
        """The same candidates in the same order with other scores."""
        return replace(self, scores_C=scores_C)


def fuse(release: ServedRelease, scene: Scene, found: Mapping[str, Candidates]) -> Fused:
    """The candidates of all channels for one request, best first; a single channel keeps its own order.

    A channel that stands alone is not weighed: popularity may have no weight beside the others, and is all there is for
    a user whom nobody knows.
    """
    if not found:
        return Fused(np.zeros(0, dtype=np.int64), np.zeros(0), [])
    if len(found) == 1:
        name, candidates = next(iter(found.items()))
        items_C = candidates.items_BK[0][candidates.items_BK[0] > 0]
        return Fused(items_C, 1 / (1 + np.arange(len(items_C))), [[name] for _ in items_C])
    width = sum(candidates.items_BK.shape[1] for candidates in found.values())
    merged = release.fusion.fuse(found, width, [scene.name])
    count = int((merged.items_BK[0] > 0).sum())
    return Fused(
        merged.items_BK[0, :count],
        merged.scores_BK[0, :count].astype(np.float64),
        [merged.found_by(0, place) for place in range(count)],
    )
