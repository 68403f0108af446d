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
from training.recall.channel import Candidates
from training.recall.measure import recall_table, worth
from training.recall.merge import interleave
from training.reciprocal_rank import Found, ReciprocalRank
from training.workspace import write_json

RECALLED = 200
"""How many candidates of each channel are fused, in evaluation and service alike."""

ANY_SCENE = ""
DEFAULT_SHARE = 0.2
SHARES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
LEAST_SCENE_CASES = 200
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
        """The best `k` of each request, of which about `share` (None: the scene's), evenly spread, are not in
        `heard[request]`; where one list ends the other goes on. A channel that failed may be missing from `candidates`.

        Raises:
            ValueError: there are no candidates at all, or `share` is outside [0, 1].
        """
        if not candidates:
            raise ValueError("no channel gave candidates; give at least one to fuse")
        if share is not None and not 0 <= share <= 1:
            raise ValueError(f"discovery share {share} is outside [0, 1]")
        found = Found.of(candidates, heard)
        repeats_BK, discoveries_BK = self._lists(found, k)
        share_B = (
            self._shares(scenes or [ANY_SCENE] * found.requests) if share is None else np.full(found.requests, share)
        )
        number_BK = np.zeros((found.requests, k), dtype=np.int64)
        for one in np.unique(share_B):
            rows = share_B == one
            number_BK[rows] = interleave(repeats_BK[rows], discoveries_BK[rows], float(one), k)
        item_M = np.concatenate([[0], found.item_M])
        rank_MH = np.concatenate([np.full((1, len(found.channels)), -1, dtype=np.int32), found.rank_MH])
        scores_BK = np.where(number_BK > 0, HALF / (HALF + np.arange(k)), 0).astype(np.float32)
        return FusedCandidates(item_M[number_BK], scores_BK, rank_MH[number_BK], found.channels)

    def _shares(self, scenes: Sequence[str]) -> NDArray[np.float64]:
        general = self.shares.get(ANY_SCENE, DEFAULT_SHARE)
        return np.array([self.shares.get(scene, general) for scene in scenes], dtype=np.float64)

    def _lists(self, found: Found, k: int) -> list[Ints]:
        """The numbers (from 1) in `found` of each request's `k` best repeats and discoveries, [B, k] each; 0 is none."""
        lists = []
        for fusion, is_heard in ((self.repeats, True), (self.discoveries, False)):
            number_M = np.concatenate([[0], np.flatnonzero(found.is_heard_M == is_heard) + 1])
            lists.append(number_M[fusion.best(found.of_kind(is_heard), k)])
        return lists

    @classmethod
    def fit(cls, candidates: Mapping[str, Candidates], heard: Ragged, cases: RecallCases) -> tuple[Self, Curve]:
        """Each list by the recall of what it is for, then the share with the greatest worth of the merged list, the
        smaller of equals; and what every share of SHARES would give.

        A scene with at least LEAST_SCENE_CASES cases gets a share of its own.
        """
        if not len(cases):
            return cls(), {}
        found = Found.of(candidates, heard)
        lists = {
            kind: ReciprocalRank.fit(found.of_kind(kind == "repeat"), cases.items[kind], cases.user_C, cutoffs)
            for kind, cutoffs in (("repeat", (50, 200)), ("reachable", (50, 200)))
        }
        fusion = cls(lists["repeat"], lists["reachable"])
        repeats_BK, discoveries_BK = fusion._lists(found, RECALLED)
        item_M = np.concatenate([[0], found.item_M])
        merged = {share: item_M[interleave(repeats_BK, discoveries_BK, share, RECALLED)] for share in SHARES}
        shares = {}
        counted = {str(scene): int((cases.scenes == scene).sum()) for scene in set(cases.scenes.tolist()) if scene}
        for scene in (ANY_SCENE, *sorted(name for name, count in counted.items() if count >= LEAST_SCENE_CASES)):
            rows = np.flatnonzero((cases.scenes == scene) | (scene == ANY_SCENE))
            tables = {share: recall_table(items[rows], cases.take(rows)) for share, items in merged.items()}
            shares[scene] = max(SHARES, key=lambda share: (round(worth(tables[share]), 6), -share))
            if scene == ANY_SCENE:
                curve = tables
        return cls(fusion.repeats, fusion.discoveries, shares), curve

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Fusion:
        """What `save` wrote."""
        known = json.loads(path.read_text())
        return cls(ReciprocalRank(**known["repeats"]), ReciprocalRank(**known["discoveries"]), known["shares"])
