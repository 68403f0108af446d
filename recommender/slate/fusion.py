"""Fusion of the channels' candidates: repeats and discoveries are fused separately and interleaved by a share.

Reciprocal rank fusion of everything into one list would pay for each discovery with a repeat that is more likely to be
listened to. Repeats and discoveries are therefore fused separately, each by the channels that are good at it, and one
number sets the share of positions for discoveries. All parameters are tuned on validation sessions, per scene if it has
enough of them.

The first repeats are many times more likely to be listened to than any discovery, the hundredth repeat is not.
Discoveries therefore become denser further down: at position x they have `share * min(1, x / FULL_DENSITY_POSITION) **
(1 - share)` of the positions, which is none for share 0 and all for share 1.

Each list is a weighted reciprocal rank fusion: Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
individual Rank Learning Methods" (SIGIR 2009). Differences: each channel has a weight, and ranks are counted separately among
repeats and among discoveries.

Legend: H sources, B requests, K candidates of a request, C candidates of all requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommender.array_types import Doubles, Ints
from recommender.ranking.task_weights import ANY_SCENE
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.json_file import JsonFile

ZERO_WEIGHT_EPSILON = 1e-9


@dataclass(frozen=True)
class ReciprocalRank:
    """`score = Σ weight / (constant + rank + 1)` over the channels that found a candidate.

    Candidates found only by channels without a weight follow all others. Without any weights, all channels weigh the
    same.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    constant: float = 60.0

    def scores(self, table: CandidateTable) -> Doubles:
        """Positive scores of all candidates that a source found, [C]."""
        return self.weighted_sum(reciprocal_ranks(table.rank_CH.T, self.constant), table.sources)

    def weighted_sum(self, gains: Doubles, channels: tuple[str, ...]) -> Doubles:
        """Weighted sum over channels of gains [H, ...].

        Channels are added one by one, since a matrix product may round differently for one request than for many.
        """
        total: Doubles = np.zeros(gains.shape[1:])
        for name, gain in zip(channels, gains, strict=True):
            total += max(self.weights.get(name, 0.0) if self.weights else 1.0, ZERO_WEIGHT_EPSILON) * gain
        return total


def reciprocal_ranks(ranks: NDArray[np.int32], constant: float) -> Doubles:
    """Unweighted gain of each rank; 0 for candidates that the channel did not find."""
    return np.where(ranks >= 0, 1 / (constant + np.maximum(ranks, 0) + 1), 0.0)


DEFAULT_DISCOVERY_SHARE = 0.2
FULL_DENSITY_POSITION = 100
SCORE_HALF_LIFE = 60.0


@dataclass(frozen=True)
class ChannelWeights:
    """Channel weights of the list of repeats and the list of discoveries."""

    repeats: ReciprocalRank = field(default_factory=ReciprocalRank)
    discoveries: ReciprocalRank = field(default_factory=ReciprocalRank)

    def scores(self, table: CandidateTable) -> Doubles:
        """Scores of all candidates, each by the weights of its list, [C]."""
        return np.where(table.is_discovery_C, self.discoveries.scores(table), self.repeats.scores(table))


@dataclass(frozen=True)
class Fusion(ChannelWeights, JsonFile):
    """Channel weights and shares of discoveries, overall and by scene."""

    # share of positions for discoveries, 0..1, by scene; "" for all other scenes
    shares: Mapping[str, float] = field(default_factory=lambda: {ANY_SCENE: DEFAULT_DISCOVERY_SHARE})
    scenes: Mapping[str, ChannelWeights] = field(default_factory=dict)  # scenes with their own weights

    def fuse(
        self, table: CandidateTable, scenes: Sequence[str] | None = None, share: float | None = None
    ) -> CandidateTable:
        """The candidates of each request, best first; scores by place, see `SCORE_HALF_LIFE`.

        Args:
            table: Merged candidates of the sources; a source that failed may be missing.
            scenes: Scene of each request; None: no scene.
            share: Share of discoveries, 0..1; None: the share of the scene.
        """
        names = list(scenes or [ANY_SCENE] * table.requests)
        share_B = [self.discovery_share(name) if share is None else share for name in names]
        return interleave(self._order_lists(table, names), share_B)

    def fuse_by_share(
        self, table: CandidateTable, k: int, shares: Iterable[float], scenes: Sequence[str] | None = None
    ) -> dict[float, Ints]:
        """The best `k` items of each request [B, k], as `fuse` gives them, for every share."""
        ordered = self._order_lists(table, list(scenes or [ANY_SCENE] * table.requests))
        return {share: interleave(ordered, [share] * table.requests).items(k) for share in shares}

    def with_min_share(self, share: float) -> Self:
        """A copy whose candidates have at least this share of discoveries in every scene."""
        shares = {ANY_SCENE: DEFAULT_DISCOVERY_SHARE, **self.shares}
        return replace(self, shares={scene: max(own, share) for scene, own in shares.items()})

    def discovery_share(self, scene: str) -> float:
        """Share of discoveries among the candidates of a scene."""
        return self.shares.get(scene, self.shares.get(ANY_SCENE, DEFAULT_DISCOVERY_SHARE))

    def _order_lists(self, table: CandidateTable, scenes: Sequence[str]) -> CandidateTable:
        """The repeats and then the discoveries of each request, by the weights of its scene; ties by smaller item."""
        score_C = self.scores(table)
        for scene in self.scenes.keys() & set(scenes):
            is_scene_B = np.array([one == scene for one in scenes])
            score_C = np.where(is_scene_B[table.row_C], self.scenes[scene].scores(table), score_C)
        return table.take(np.lexsort((-score_C, table.is_discovery_C, table.row_C)))


def discovery_slot_mask(share: float, k: int) -> NDArray[np.bool_]:
    """Which of the first `k` positions are for discoveries, bool [k]; independent of `k` for a given position."""
    density_K = share * np.minimum(1, (np.arange(k) + 0.5) / FULL_DENSITY_POSITION) ** (1 - share)
    count_K = np.floor(density_K.cumsum() + 0.5)
    return np.diff(count_K, prepend=0) > 0


def interleave(ordered: CandidateTable, share_B: Sequence[float]) -> CandidateTable:
    """One list per request from its repeats and then its discoveries, each in order; if one kind ends, the other fills the
    rest. Scores are by place.

    Args:
        ordered: Candidates of B requests.
        share_B: Share of discoveries of each request.
    """
    place_C = ordered.place_C
    size = 1 << int(place_C.max(initial=0) + 1).bit_length()  # few different ones, so that slots are cached
    # Within a request, repeats come first: the number of a discovery counts from the end of the repeats.
    repeats_B = np.bincount(ordered.row_C[~ordered.is_discovery_C], minlength=ordered.requests)
    number_C = place_C - repeats_B[ordered.row_C] * ordered.is_discovery_C
    slot_C = np.zeros(len(ordered), dtype=np.int64)
    for share in set(share_B):
        slots_2K = _slots(share, size)
        is_own_C = (np.array(share_B) == share)[ordered.row_C]
        slot_C[is_own_C] = slots_2K[ordered.is_discovery_C[is_own_C].astype(np.int64), number_C[is_own_C]]
    table = ordered.take(np.lexsort((slot_C, ordered.row_C)))
    return table.scored(SCORE_HALF_LIFE / (SCORE_HALF_LIFE + table.place_C))


@lru_cache(maxsize=64)
def _slots(share: float, k: int) -> Ints:
    """Slots of the first `k` repeats and of the first `k` discoveries [2, k]: their own slots, then those after all."""
    is_discovery_K = discovery_slot_mask(share, k)
    own = [np.flatnonzero(is_own_K) for is_own_K in (~is_discovery_K, is_discovery_K)]
    return np.stack([np.concatenate([slots, k + np.arange(len(slots), k)]) for slots in own])
