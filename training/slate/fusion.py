"""Many lists of candidates to one: a list of repeats and a list of discoveries, merged by a share.

Reciprocal ranks give places evenly: one list of everything pays for each discovery with a repeat that was likelier to be
listened to. So what the user has heard and what not are fused apart, each by the channels that are good at it, and one
number says how many places are for discoveries. Everything is fitted on validation sessions, and for a scene that has
enough of them by its own. Legend: B requests, K candidates, M candidates of all requests, H channels. Knows nothing about
how a channel finds its candidates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from training.data.ragged import Ragged
from training.data.recall_at_k import recall_table, validation_objective
from training.data.recall_cases import RecallCases
from training.engine.workspace import write_json
from training.recall.channel import Candidates
from training.slate.discovery_share import interleave_discoveries
from training.slate.reciprocal_rank import CandidatePool, ReciprocalRank

CANDIDATES_PER_CHANNEL = 200
"""How many candidates of each channel are fused, in evaluation and service alike."""

MAX_RANKED_CANDIDATES = 300
"""How many fused candidates of a request are ranked, in evaluation as in the scenes of the service."""

ANY_SCENE = ""
DEFAULT_DISCOVERY_SHARE = 0.2
DISCOVERY_SHARE_GRID = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
CUTOFFS = (50, 200)
MIN_SCENE_CASES = 200
SCORE_HALF_LIFE = 60.0
LIST_TARGET_KIND = {True: "repeat", False: "reachable"}
"""What the list of what was heard, and the list of what was not, are fitted to find."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
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

    def source_channels(self, row: int, count: int) -> list[list[str]]:
        """Who found each of a request's first `count` candidates, the channel that ranked it best first."""
        rank_CH = self.rank_BKH[row, :count]
        # Those that did not find it, -1, come first.
        order_CH, missing_C = np.argsort(rank_CH, axis=1, kind="stable"), (rank_CH < 0).sum(1)
        ordered = zip(order_CH.tolist(), missing_C.tolist(), strict=True)
        return [[self.channels[channel] for channel in order[missing:]] for order, missing in ordered]


@dataclass(frozen=True)
class ChannelWeights:
    """How the list of repeats and the list of discoveries weigh the channels."""

    repeats: ReciprocalRank = field(default_factory=ReciprocalRank)
    discoveries: ReciprocalRank = field(default_factory=ReciprocalRank)

    def for_list(self, is_heard: bool) -> ReciprocalRank:
        """The weights of one of the lists."""
        return self.repeats if is_heard else self.discoveries


@dataclass(frozen=True)
class Fusion(ChannelWeights):
    """How each list weighs the channels, and the share of places that is for discoveries, 0..1: `shares[scene]`, or
    `shares[""]` for a scene that is not there. `scenes[scene]` are the weights of a scene that has its own.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: {ANY_SCENE: DEFAULT_DISCOVERY_SHARE})
    scenes: Mapping[str, ChannelWeights] = field(default_factory=dict)

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
        found = CandidatePool.of(candidates, heard)
        scene_B = np.array(list(scenes or [ANY_SCENE] * found.request_count), dtype=object)
        repeats_BK, discoveries_BK = self._top_candidates(found, scene_B, k)
        share_B = np.array([self.discovery_share(scene) if share is None else share for scene in scene_B])
        number_BK = np.zeros((found.request_count, k), dtype=np.int64)
        for one in np.unique(share_B):
            rows = share_B == one
            number_BK[rows] = interleave_discoveries(repeats_BK[rows], discoveries_BK[rows], float(one), k)
        item_M = np.concatenate([[0], found.item_M])
        rank_MH = np.concatenate([np.full((1, len(found.channels)), -1, dtype=np.int32), found.rank_MH])
        scores_BK = np.where(number_BK > 0, SCORE_HALF_LIFE / (SCORE_HALF_LIFE + np.arange(k)), 0).astype(np.float32)
        return FusedCandidates(item_M[number_BK], scores_BK, rank_MH[number_BK], found.channels)

    def discovery_share(self, scene: str) -> float:
        """The share of discoveries for requests of a scene that give none of their own."""
        return self.shares.get(scene, self.shares.get(ANY_SCENE, DEFAULT_DISCOVERY_SHARE))

    def _top_candidates(self, found: CandidatePool, scene_B: NDArray[np.object_], k: int) -> tuple[Ints, Ints]:
        """The numbers (from 1) in `found` of each request's `k` best repeats and discoveries, [B, k] each; 0 is none."""
        lists = []
        for is_heard in LIST_TARGET_KIND:
            number_M = np.concatenate([[0], np.flatnonzero(found.is_repeat_M == is_heard) + 1])
            some = found.filter_by_repeat(is_heard)
            lists.append(number_M[some.top_k(self._scores(some, scene_B, is_heard), k)])
        return lists[0], lists[1]

    def _scores(self, found: CandidatePool, scene_B: NDArray[np.object_], is_heard: bool) -> Floats:
        """Of the candidates of one kind, by the weights of each request's scene, [M]."""
        score_M = self.for_list(is_heard).scores(found)
        for scene, weights in self.scenes.items():
            is_its_B = scene_B == scene
            if is_its_B.any():
                score_M = np.where(is_its_B[found.row_M], weights.for_list(is_heard).scores(found), score_M)
        return score_M

    @classmethod
    def fit(cls, candidates: Mapping[str, Candidates], heard: Ragged, cases: RecallCases) -> tuple[Self, Curve]:
        """Each list by the recall of what it is for, then the share with the greatest worth of the merged list; and the
        figures of every share of SHARES.

        A scene with at least LEAST_CASES cases gets a share of its own, and weights of its own where those learned from half
        of its users find more for the other half than the weights of all scenes. With fewer cases in all, the share is the
        default.
        """
        if not len(cases):
            return cls(), {}
        found = CandidatePool.of(candidates, heard)
        fitted = {is_heard: _fit_list(found, cases, is_heard) for is_heard in LIST_TARGET_KIND}
        overall = cls(fitted[True], fitted[False])
        rows = {
            scene: np.flatnonzero(cases.scenes == scene) for scene in sorted({str(one) for one in cases.scenes if one})
        }
        rows = {scene: some for scene, some in rows.items() if len(some) >= MIN_SCENE_CASES}
        own = {scene: _fit_scene_weights(found.take(some), cases.take(some), overall) for scene, some in rows.items()}
        scenes = {scene: weights for scene, weights in own.items() if weights is not None}
        lists = replace(overall, scenes=scenes)._top_candidates(found, cases.scenes, CANDIDATES_PER_CHANNEL)
        item_M = np.concatenate([[0], found.item_M])
        merged = {
            share: item_M[interleave_discoveries(*lists, share, CANDIDATES_PER_CHANNEL)]
            for share in DISCOVERY_SHARE_GRID
        }
        curve = {share: recall_table(items_CK, cases) for share, items_CK in merged.items()}
        shares = {ANY_SCENE: _best_share(curve) if len(cases) >= MIN_SCENE_CASES else DEFAULT_DISCOVERY_SHARE}
        for scene, some in rows.items():
            its = cases.take(some)
            shares[scene] = _best_share({share: recall_table(items[some], its) for share, items in merged.items()})
        return replace(overall, shares=shares, scenes=scenes), curve

    def format_summary(self) -> str:
        """The weights that are not 0 and the shares, in a line for a person."""
        shares = ", ".join(f"{share:g} {scene}".strip() for scene, share in self.shares.items())
        own = [f"in {scene} {_format_weights(weights)}" for scene, weights in self.scenes.items()]
        return "; ".join([_format_weights(self), *own, f"share of discoveries {shares}"])

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Fusion:
        """What `save` wrote."""
        known = json.loads(path.read_text())
        scenes = {scene: ChannelWeights(*_parse_weights(one)) for scene, one in known.get("scenes", {}).items()}
        return cls(*_parse_weights(known), known["shares"], scenes)


def _parse_weights(known: Mapping[str, Any]) -> tuple[ReciprocalRank, ReciprocalRank]:
    return ReciprocalRank(**known["repeats"]), ReciprocalRank(**known["discoveries"])


def _fit_list(found: CandidatePool, cases: RecallCases, is_heard: bool) -> ReciprocalRank:
    return ReciprocalRank.fit(
        found.filter_by_repeat(is_heard), cases.items[LIST_TARGET_KIND[is_heard]], cases.user_C, CUTOFFS
    )


def _fit_scene_weights(found: CandidatePool, cases: RecallCases, overall: ChannelWeights) -> ChannelWeights | None:
    """The weights of one scene, whose cases these are; a list that does not gain by its own keeps the overall ones, and
    None says that neither does.
    """
    own = {
        kind: _fit_list(found, cases, kind) if _improves_held_out(found, cases, overall, kind) else None
        for kind in LIST_TARGET_KIND
    }
    if not any(own.values()):
        return None
    return ChannelWeights(own[True] or overall.repeats, own[False] or overall.discoveries)


def _improves_held_out(found: CandidatePool, cases: RecallCases, overall: ChannelWeights, is_heard: bool) -> bool:
    """Whether weights learned from one half of the users find more for the other half than the overall ones, which knew
    both halves.
    """
    is_one_C = np.unique(cases.user_C, return_inverse=True)[1] % 2 == 0
    gain = 0.0
    for is_learned_C in (is_one_C, ~is_one_C):
        learned, judged = np.flatnonzero(is_learned_C), np.flatnonzero(~is_learned_C)
        if not len(learned) or not len(judged):
            return False
        theirs = _fit_list(found.take(learned), cases.take(learned), is_heard)
        some, others = found.take(judged).filter_by_repeat(is_heard), cases.take(judged)
        asked = some, others.items[LIST_TARGET_KIND[is_heard]], others.user_C, CUTOFFS
        gain += theirs.recall(*asked) - overall.for_list(is_heard).recall(*asked)
    return gain > 0


def _format_weights(weights: ChannelWeights) -> str:
    kinds = {"repeats": weights.repeats, "discoveries": weights.discoveries}
    return "; ".join(
        f"{kind} by " + ", ".join(f"{name} {weight:g}" for name, weight in one.weights.items() if weight)
        for kind, one in kinds.items()
    )


def _best_share(curve: Curve) -> float:
    """The share with the greatest worth, the smaller of equals."""
    return max(curve, key=lambda share: (round(validation_objective(curve[share]), 6), -share))
