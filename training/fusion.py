"""Many lists of candidates to one: a list of repeats and a list of discoveries, merged by a share.

Reciprocal ranks give places evenly: one list of everything pays for each discovery with a repeat that was likelier to be
listened to. So what the user has heard and what not are fused apart, each by the channels that are good at it, and one
number says how many places are for discoveries. Everything is fitted on validation sessions. Legend: B requests, K
candidates, H channels. Knows nothing about how a channel finds its candidates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from training.data import Ragged, RecallCases
from training.discovery_share import merge
from training.recall.channel import Candidates
from training.recall.measure import recall_table, worth
from training.reciprocal_rank import Found, ReciprocalRank
from training.workspace import write_json

RECALLED = 200
"""How many candidates of each channel are fused, in evaluation and service alike."""

ANY_SCENE = ""
DEFAULT_SHARE = 0.2
SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
CUTOFFS = (50, 200)
LEAST_CASES = 200
HALF = 60.0

Ints = NDArray[np.int64]
Curve = dict[float, dict[str, float]]


@dataclass(frozen=True)
class FusedCandidates:
    """`items_BK` best first, 0 = none; `scores_BK` says the place: 1 for the first, half of it HALF places later, 0
    where none; `rank_BKH` int32 rank (from 0) of the item in each of `channels` among the channel's repeats or its
    discoveries, -1 where that channel did not find it.
    """

    items_BK: np.ndarray
    scores_BK: np.ndarray
    rank_BKH: np.ndarray
    channels: tuple[str, ...]

    def found_by(self, row: int, place: int) -> list[str]:
        """Who found a candidate, the channel that ranked it best first."""
        ranks = self.rank_BKH[row, place]
        return [self.channels[channel] for channel in np.argsort(ranks, kind="stable") if ranks[channel] >= 0]


@dataclass(frozen=True)
class Fusion:
    """How each list weighs the channels, and the share of places that is for discoveries, 0..1: `shares[scene]`, or
    `shares[""]` for a scene that is not there.
    """

    repeats: ReciprocalRank = field(default_factory=ReciprocalRank)
    discoveries: ReciprocalRank = field(default_factory=ReciprocalRank)
    shares: Mapping[str, float] = field(default_factory=lambda: {ANY_SCENE: DEFAULT_SHARE})

    def fuse(
        self,
        candidates: Mapping[str, Candidates],
        heard: Ragged,
        k: int,
        scenes: Sequence[str] | None = None,
        share: float | None = None,
    ) -> FusedCandidates:
        """The best `k` of each request: repeats, which are in `heard[request]`, and in the places of `share` (None: the
        scene's) discoveries. A channel that failed may be missing from `candidates`.

        Raises:
            ValueError: there are no candidates at all, or `share` is outside [0, 1].
        """
        if not candidates:
            raise ValueError("no channel gave candidates; give at least one to fuse")
        found = Found.of(candidates, heard)
        repeats_BK, discoveries_BK = self._lists(found, k)
        share_B = np.array(
            [self.share(scene) if share is None else share for scene in scenes or [ANY_SCENE] * found.requests]
        )
        number_BK = np.zeros((found.requests, k), dtype=np.int64)
        for one in np.unique(share_B):
            rows = share_B == one
            number_BK[rows] = merge(repeats_BK[rows], discoveries_BK[rows], float(one), k)
        item_M = np.concatenate([[0], found.item_M])
        rank_MH = np.concatenate([np.full((1, len(found.channels)), -1, dtype=np.int32), found.rank_MH])
        scores_BK = np.where(number_BK > 0, HALF / (HALF + np.arange(k)), 0).astype(np.float32)
        return FusedCandidates(item_M[number_BK], scores_BK, rank_MH[number_BK], found.channels)

    def share(self, scene: str) -> float:
        """The share of discoveries for requests of a scene that give none of their own."""
        return self.shares.get(scene, self.shares.get(ANY_SCENE, DEFAULT_SHARE))

    def _lists(self, found: Found, k: int) -> tuple[Ints, Ints]:
        """The numbers (from 1) in `found` of each request's `k` best repeats and discoveries, [B, k] each; 0 is none."""
        lists = []
        for fusion, is_heard in ((self.repeats, True), (self.discoveries, False)):
            number_M = np.concatenate([[0], np.flatnonzero(found.is_heard_M == is_heard) + 1])
            lists.append(number_M[fusion.best(found.of_kind(is_heard), k)])
        return lists[0], lists[1]

    @classmethod
    def fit(cls, candidates: Mapping[str, Candidates], heard: Ragged, cases: RecallCases) -> tuple[Self, Curve]:
        """Each list by the recall of what it is for, then the share with the greatest worth of the merged list; and the
        figures of every share of SHARES.

        A scene with at least LEAST_CASES cases gets a share of its own; with fewer cases in all, the share is the default.
        """
        if not len(cases):
            return cls(), {}
        found = Found.of(candidates, heard)
        repeats, discoveries = (
            ReciprocalRank.fit(found.of_kind(is_heard), cases.items[kind], cases.user_C, CUTOFFS)
            for is_heard, kind in ((True, "repeat"), (False, "reachable"))
        )
        lists = cls(repeats, discoveries)._lists(found, RECALLED)
        item_M = np.concatenate([[0], found.item_M])
        merged = {share: item_M[merge(*lists, share, RECALLED)] for share in SHARES}
        curve = {share: recall_table(items_CK, cases) for share, items_CK in merged.items()}
        shares = {ANY_SCENE: _best(curve) if len(cases) >= LEAST_CASES else DEFAULT_SHARE}
        for scene in sorted({str(scene) for scene in cases.scenes if scene}):
            rows = np.flatnonzero(cases.scenes == scene)
            if len(rows) >= LEAST_CASES:
                some = cases.take(rows)
                shares[scene] = _best({share: recall_table(items[rows], some) for share, items in merged.items()})
        return cls(repeats, discoveries, shares), curve

    def readable(self) -> str:
        """The weights that are not 0 and the shares, in a line for a person."""
        kinds = {"repeats": self.repeats, "discoveries": self.discoveries}
        weights = [
            f"{kind} by " + ", ".join(f"{name} {weight:g}" for name, weight in one.weights.items() if weight)
            for kind, one in kinds.items()
        ]
        shares = ", ".join(f"{share:g} {scene}".strip() for scene, share in self.shares.items())
        return "; ".join([*weights, f"share of discoveries {shares}"])

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Fusion:
        """What `save` wrote."""
        known = json.loads(path.read_text())
        return cls(ReciprocalRank(**known["repeats"]), ReciprocalRank(**known["discoveries"]), known["shares"])


def _best(curve: Curve) -> float:
    """The share with the greatest worth, the smaller of equals."""
    return max(curve, key=lambda share: (round(worth(curve[share]), 6), -share))
