"""Fusion stage: one candidate list from those of all channels, by the release's fusion.

Legend: C candidates of one request, best first. Independent of filters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from serving.releases.served_release import ServedRelease
from training.data.ragged import Ragged
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates
from training.slate.fusion import FusedCandidates
from training.slate.reciprocal_rank import add_repeats
from training.slate.scene_settings import MIN_RANKED_DISCOVERY_SHARE, Scene


@dataclass(frozen=True)
class RequestCandidates:
    """Candidates of one request.

    Attributes:
        items_C: Items, best first.
        scores_C: Scores in 0..1.
        channels_C: Channels that found each item, the one that ranked it highest first; kept as an array of lists, because
            hundreds of candidates are taken and joined several times per request.
        exploration_propensity: Item → probability in (0, 1), for items that exploration chose.
        new_when_listed: Items of today's list that were new to the user when they were listed; they stay discoveries for the
            rest of the day.
    """

    items_C: np.ndarray
    scores_C: np.ndarray
    channels_C: Sequence[list[str]] | NDArray[np.object_]
    exploration_propensity: Mapping[int, float] = field(default_factory=dict)
    new_when_listed: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if not isinstance(self.channels_C, np.ndarray):
            lists = np.fromiter(self.channels_C, dtype=object, count=len(self.channels_C))
            object.__setattr__(self, "channels_C", lists)

    def __len__(self) -> int:
        """C."""
        return len(self.items_C)

    def take(self, places: np.ndarray | list[int]) -> RequestCandidates:
        """The candidates at these positions, in this order."""
        index = np.asarray(places, dtype=np.int64)
        channels_C = cast(NDArray[np.object_], self.channels_C)[index]
        return replace(self, items_C=self.items_C[index], scores_C=self.scores_C[index], channels_C=channels_C)

    def top_k(self, k: int) -> RequestCandidates:
        """The first `k` candidates."""
        return replace(self, items_C=self.items_C[:k], scores_C=self.scores_C[:k], channels_C=self.channels_C[:k])

    def concatenate(self, more: RequestCandidates) -> RequestCandidates:
        """These candidates, followed by `more`."""
        return RequestCandidates(
            np.concatenate([self.items_C, more.items_C]),
            np.concatenate([self.scores_C, more.scores_C]),
            np.concatenate([self.channels_C, more.channels_C]),
            {**more.exploration_propensity, **self.exploration_propensity},
            self.new_when_listed | more.new_when_listed,
        )

    def with_scores(self, scores_C: np.ndarray) -> RequestCandidates:
        """The same candidates in the same order, with other scores."""
        return replace(self, scores_C=scores_C)


NO_CANDIDATES = RequestCandidates(np.zeros(0, dtype=np.int64), np.zeros(0), [])


def fuse(
    release: ServedRelease,
    scene: Scene,
    users: UserBatch,
    candidates: Mapping[str, Candidates],
    discovery_share: float | None = None,
) -> RequestCandidates:
    """Fuse the candidates of all channels for one request.

    Args:
        release: Release that has the fusion.
        scene: Scene of the request.
        users: The request, B = 1. Items of its history views count as known, and those that REPEAT_CHANNELS propose.
        candidates: Channel → candidates.
        discovery_share: Fraction of new tracks among the candidates; None for the share that the release was evaluated
            with.
    """
    if not candidates:
        return NO_CANDIDATES
    width = sum(one.items_BK.shape[1] for one in candidates.values())
    fusion = release.fusion.with_min_share(MIN_RANKED_DISCOVERY_SHARE)
    played = add_repeats(users.history_items, candidates)
    return _first_row(fusion.fuse(candidates, played, width, [scene.name], discovery_share))


def fuse_continuation(
    release: ServedRelease, candidates: Mapping[str, Candidates], items_S: np.ndarray
) -> RequestCandidates:
    """Fuse the candidates of the sources for one or more seeds, by the weights that the release has for as many."""
    if not candidates:
        return NO_CANDIDATES
    width = sum(one.items_BK.shape[1] for one in candidates.values())
    seeds = Ragged(items_S, np.array([0, len(items_S)], dtype=np.int64))
    return _first_row(release.continuation.fuse(candidates, seeds, width))


def _first_row(merged: FusedCandidates) -> RequestCandidates:
    count = int((merged.items_BK[0] > 0).sum())
    return RequestCandidates(
        merged.items_BK[0, :count],
        merged.scores_BK[0, :count].astype(np.float64),
        merged.source_channels(0, count),
    )
