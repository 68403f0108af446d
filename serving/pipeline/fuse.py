"""One list from many: the channels' candidates merged by the release's fusion, each with who found it.

Legend: C candidates of one request, best first. The fusion itself is the release's; knows nothing about filters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from serving.releases.served_release import ServedRelease
from training.data.ragged import Ragged
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates
from training.slate.fusion import ANY_SCENE, Fusion
from training.slate.scenes import Scene

EMPTY_HISTORY = Ragged(np.zeros(0, dtype=np.int64), np.zeros(2, dtype=np.int64))


@dataclass(frozen=True)
class RequestCandidates:
    """C items, best first: `scores_C` 0..1, `channels_C` who found each, the one that ranked it best first.

    `explored`: item ▸ with what probability, in (0, 1), chance gave it its place; all others are there for their score.
    """

    items_C: np.ndarray
    scores_C: np.ndarray
    channels_C: list[list[str]]
    exploration_propensity: Mapping[int, float] = field(default_factory=dict)

    def __len__(self) -> int:
        """C."""
        return len(self.items_C)

    def take(self, places: np.ndarray | list[int]) -> RequestCandidates:
        """The candidates at these places, in this order."""
        index = np.asarray(places, dtype=np.int64)
        channels = [self.channels_C[place] for place in index]
        return RequestCandidates(self.items_C[index], self.scores_C[index], channels, self.exploration_propensity)

    def top_k(self, count: int) -> RequestCandidates:
        """The best `count`."""
        return RequestCandidates(
            self.items_C[:count], self.scores_C[:count], self.channels_C[:count], self.exploration_propensity
        )

    def concatenate(self, more: RequestCandidates) -> RequestCandidates:
        """These, then `more`."""
        return RequestCandidates(
            np.concatenate([self.items_C, more.items_C]),
            np.concatenate([self.scores_C, more.scores_C]),
            self.channels_C + more.channels_C,
            {**more.exploration_propensity, **self.exploration_propensity},
        )

    def with_scores(self, scores_C: np.ndarray) -> RequestCandidates:
        """The same candidates in the same order with other scores."""
        return replace(self, scores_C=scores_C)


def fuse(
    release: ServedRelease,
    scene: Scene,
    users: UserBatch,
    found: Mapping[str, Candidates],
    discovery_share: float | None = None,
) -> RequestCandidates:
    """The candidates of all channels for one request, best first, about `share` of them (None: the scene's) new to its
    user.

    What the user has heard is read from the views of the request itself; for one whom nobody knows everything is new.
    """
    return _merge_candidates(release.fusion, found, users.history_items, scene.name, discovery_share)


def fuse_similar(found: Mapping[str, Candidates]) -> RequestCandidates:
    """What the channels found near a track, best first, each channel counting as much as any other.

    Nothing was fitted for that: weights and share of the release are for what a user wants.
    """
    return _merge_candidates(Fusion(), found, EMPTY_HISTORY, ANY_SCENE, 1.0)


def _merge_candidates(
    fusion: Any, found: Mapping[str, Candidates], known: Ragged, scene: str, share: float | None
) -> RequestCandidates:
    if not found:
        return RequestCandidates(np.zeros(0, dtype=np.int64), np.zeros(0), [])
    width = sum(candidates.items_BK.shape[1] for candidates in found.values())
    merged = fusion.fuse(found, known, width, [scene], share)
    count = int((merged.items_BK[0] > 0).sum())
    return RequestCandidates(
        merged.items_BK[0, :count],
        merged.scores_BK[0, :count].astype(np.float64),
        merged.source_channels(0, count),
    )
