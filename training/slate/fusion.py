"""Fusion of the channels' candidates: repeats and discoveries are fused separately and interleaved by a share.

Reciprocal rank fusion of everything into one list would pay for each discovery with a repeat that is more likely to be
listened to. Repeats and discoveries are therefore fused separately, each by the channels that are good at it, and one
number sets the share of positions for discoveries. All parameters are tuned on validation sessions, per scene if it has
enough of them.

The first repeats are many times more likely to be listened to than any discovery, the hundredth repeat is not.
Discoveries therefore become denser further down: at position x they have `share * min(1, x / FULL_DENSITY_POSITION) **
(1 - share)` of the positions, which is none for share 0 and all for share 1.

Legend: B requests, K candidates, M candidates of all requests, H channels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from training.data.ragged import Ragged
from training.data.recall_cases import MIN_USERS, RecallCases, objective_draws, recall_draws, recall_table
from training.engine.workspace import write_json
from training.recall.channel import Candidates
from training.slate.reciprocal_rank import CandidatePool, ReciprocalRank
from training.slate.scene_settings import CANDIDATES_PER_CHANNEL

ANY_SCENE = ""
DEFAULT_DISCOVERY_SHARE = 0.2
DISCOVERY_SHARE_GRID = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
FULL_DENSITY_POSITION = 100
CUTOFFS = (50, 200)
MIN_SCENE_CASES = 200
SAMPLES = 1000
SCORE_HALF_LIFE = 60.0
LIST_TARGET_KIND = {True: "repeat", False: "reachable"}
"""Kind of targets that the list of repeats (True) and the list of discoveries (False) are tuned on."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Curve = dict[float, dict[str, float]]


@dataclass(frozen=True)
class FusedCandidates:
    """Fused candidates of B requests, best first."""

    items_BK: np.ndarray  # 0: padding
    scores_BK: np.ndarray  # by position: 1 for the first, half of it SCORE_HALF_LIFE positions later, 0 for padding
    rank_BKH: np.ndarray  # int32 rank (from 0) among the channel's repeats or discoveries; -1: not found by the channel
    channels: tuple[str, ...]

    def source_channels(self, row: int, count: int) -> list[list[str]]:
        """The channels that found each of a request's first `count` candidates, best rank first."""
        rank_CH, H = self.rank_BKH[row, :count], len(self.channels)
        order_CH = np.argsort(rank_CH, axis=1, kind="stable")
        order_CH[np.take_along_axis(rank_CH, order_CH, axis=1) < 0] = (
            H  # channels that did not find the item come first
        )
        # Most candidates share their channels with others, so each distinct order is named once.
        _, first, number_C = np.unique(order_CH @ (H + 1) ** np.arange(H), return_index=True, return_inverse=True)
        named = [[self.channels[channel] for channel in order if channel < H] for order in order_CH[first].tolist()]
        found: list[list[str]] = np.fromiter(named, dtype=object, count=len(named))[number_C].tolist()
        return found


@dataclass(frozen=True)
class ChannelWeights:
    """Channel weights of the list of repeats and the list of discoveries."""

    repeats: ReciprocalRank = field(default_factory=ReciprocalRank)
    discoveries: ReciprocalRank = field(default_factory=ReciprocalRank)

    def for_list(self, is_repeat: bool) -> ReciprocalRank:
        """Weights of one of the lists."""
        return self.repeats if is_repeat else self.discoveries


@dataclass(frozen=True)
class Fusion(ChannelWeights):
    """Channel weights and shares of discoveries, overall and by scene."""

    # share of positions for discoveries, 0..1, by scene; "" for all other scenes
    shares: Mapping[str, float] = field(default_factory=lambda: {ANY_SCENE: DEFAULT_DISCOVERY_SHARE})
    scenes: Mapping[str, ChannelWeights] = field(default_factory=dict)  # scenes with their own weights

    def fuse_by_share(
        self, candidates: Mapping[str, Candidates], history: Ragged, k: int, scenes: Sequence[str] | None = None
    ) -> dict[float, Ints]:
        """The best `k` items of each request [B, K], as `fuse` gives them, for every share of DISCOVERY_SHARE_GRID and the
        chosen one.
        """
        pool = CandidatePool.of(candidates, history)
        scene_B = np.array(list(scenes or [ANY_SCENE] * pool.request_count), dtype=object)
        return self._merge_by_share(pool, scene_B, k, sorted({*DISCOVERY_SHARE_GRID, self.discovery_share(ANY_SCENE)}))

    def _merge_by_share(
        self, pool: CandidatePool, scene_B: NDArray[np.object_], k: int, shares: Sequence[float]
    ) -> dict[float, Ints]:
        lists, item_M = self._top_candidates(pool, scene_B, k), np.concatenate([[0], pool.item_M])
        return {share: item_M[interleave_discoveries(*lists, share, k)] for share in shares}

    def fuse(
        self,
        candidates: Mapping[str, Candidates],
        history: Ragged,
        k: int,
        scenes: Sequence[str] | None = None,
        share: float | None = None,
    ) -> FusedCandidates:
        """The best `k` candidates of each request.

        Args:
            candidates: Candidates by channel; failed channels may be missing.
            history: Items in each user's history, which make a candidate a repeat.
            k: Number of candidates.
            scenes: Scene of each request.
            share: Share of discoveries; None: the share of the scene.

        Raises:
            ValueError: `candidates` is empty, or `share` is outside [0, 1].
        """
        if not candidates:
            raise ValueError("no channel gave candidates; give at least one to fuse")
        pool = CandidatePool.of(candidates, history)
        scene_B = np.array(list(scenes or [ANY_SCENE] * pool.request_count), dtype=object)
        repeats_BK, discoveries_BK = self._top_candidates(pool, scene_B, k)
        share_B = np.array([self.discovery_share(scene) if share is None else share for scene in scene_B])
        number_BK = np.zeros((pool.request_count, k), dtype=np.int64)
        for scene_share in np.unique(share_B):
            rows = share_B == scene_share
            number_BK[rows] = interleave_discoveries(repeats_BK[rows], discoveries_BK[rows], float(scene_share), k)
        item_M = np.concatenate([[0], pool.item_M])
        rank_MH = np.concatenate([np.full((1, len(pool.channels)), -1, dtype=np.int32), pool.rank_MH])
        scores_BK = np.where(number_BK > 0, SCORE_HALF_LIFE / (SCORE_HALF_LIFE + np.arange(k)), 0).astype(np.float32)
        return FusedCandidates(item_M[number_BK], scores_BK, rank_MH[number_BK], pool.channels)

    def with_min_share(self, share: float) -> Self:
        """A copy whose candidates have at least this share of discoveries in every scene."""
        shares = {ANY_SCENE: DEFAULT_DISCOVERY_SHARE, **self.shares}
        return replace(self, shares={scene: max(own, share) for scene, own in shares.items()})

    def discovery_share(self, scene: str) -> float:
        """Share of discoveries among the candidates of a scene."""
        return self.shares.get(scene, self.shares.get(ANY_SCENE, DEFAULT_DISCOVERY_SHARE))

    def _top_candidates(self, pool: CandidatePool, scene_B: NDArray[np.object_], k: int) -> tuple[Ints, Ints]:
        """Indices (from 1) in the pool of each request's `k` best repeats and discoveries, [B, k] each; 0: padding."""
        lists = []
        for is_repeat in LIST_TARGET_KIND:
            number_M = np.concatenate([[0], np.flatnonzero(pool.is_repeat_M == is_repeat) + 1])
            part = pool.filter_by_repeat(is_repeat)
            lists.append(number_M[part.top_k(self._scores(part, scene_B, is_repeat), k)])
        return lists[0], lists[1]

    def _scores(self, pool: CandidatePool, scene_B: NDArray[np.object_], is_repeat: bool) -> Floats:
        """Scores of repeats or of discoveries by the weights of each request's scene, [M]."""
        score_M = self.for_list(is_repeat).scores(pool)
        for scene, weights in self.scenes.items():
            is_scene_B = scene_B == scene
            if is_scene_B.any():
                score_M = np.where(is_scene_B[pool.row_M], weights.for_list(is_repeat).scores(pool), score_M)
        return score_M

    @classmethod
    def fit(
        cls,
        candidates: Mapping[str, Candidates],
        history: Ragged,
        cases: RecallCases,
        baseline: Ints | None = None,
    ) -> tuple[Self, Curve]:
        """Tune the weights of each list by its recall, then the share by the validation objective of the merged list.

        A scene with at least MIN_SCENE_CASES cases gets its own share. It gets its own weights if weights tuned on half
        of its users improve recall for the other half over the weights of all scenes. Weights of fewer than MIN_USERS users
        are tuned only if they improve on the best channel in this way. `baseline` [C, K] bounds the shares, see
        `choose_share`.

        Returns:
            The fusion, and the table of `choose_share` for all scenes together.
        """
        if not len(cases):
            return cls(), {}
        pool = CandidatePool.of(candidates, history)
        has_few_users = len(np.unique(cases.user_C)) < MIN_USERS
        fit_list = _fit_list_of_few_users if has_few_users else _fit_list
        fitted = {is_repeat: fit_list(pool, cases, is_repeat) for is_repeat in LIST_TARGET_KIND}
        overall = cls(fitted[True], fitted[False])
        rows = {
            scene: np.flatnonzero(cases.scenes == scene)
            for scene in sorted({str(name) for name in cases.scenes if name})
        }
        rows = {scene: scene_rows for scene, scene_rows in rows.items() if len(scene_rows) >= MIN_SCENE_CASES}
        own = {scene: _fit_scene_weights(pool.take(part), cases.take(part), overall) for scene, part in rows.items()}
        scenes = {scene: weights for scene, weights in own.items() if weights is not None}
        weighted = replace(overall, scenes=scenes)
        merge = partial(weighted._merge_by_share, pool, cases.scenes, CANDIDATES_PER_CHANNEL)
        merged = merge(DISCOVERY_SHARE_GRID)
        share, curve = choose_share(merged, cases, baseline)
        if share not in curve:
            curve[share] = recall_table(merge([share])[share], cases)
        shares = {ANY_SCENE: share}
        for scene, part in rows.items():
            of_scene = {share: items[part] for share, items in merged.items()}
            shares[scene], _ = choose_share(of_scene, cases.take(part), None if baseline is None else baseline[part])
        return replace(overall, shares=shares, scenes=scenes), curve

    def format_summary(self) -> str:
        """Nonzero weights and shares as one line of text."""
        shares = ", ".join(f"{share:g} {scene}".strip() for scene, share in self.shares.items())
        own = [f"in {scene} {_format_weights(weights)}" for scene, weights in self.scenes.items()]
        return "; ".join([_format_weights(self), *own, f"share of discoveries {shares}"])

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Fusion:
        """Read the file that `save` wrote."""
        content = json.loads(path.read_text())
        scenes = {scene: ChannelWeights(*_parse_weights(part)) for scene, part in content.get("scenes", {}).items()}
        return cls(*_parse_weights(content), content["shares"], scenes)


def discovery_slot_mask(share: float, k: int) -> NDArray[np.bool_]:
    """Which of the first `k` positions are for discoveries, bool [k]; independent of `k` for a given position.

    Raises:
        ValueError: `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"discovery share {share} is outside [0, 1]")
    density_K = share * np.minimum(1, (np.arange(k) + 0.5) / FULL_DENSITY_POSITION) ** (1 - share)
    count_K = np.floor(density_K.cumsum() + 0.5)
    is_discovery_K: NDArray[np.bool_] = np.diff(count_K, prepend=0) > 0
    return is_discovery_K


def interleave_discoveries(repeats_BK: Ints, discoveries_BK: Ints, share: float, k: int) -> Ints:
    """One list of `k` items from two disjoint lists, padded with 0; if one ends, the other fills the rest."""
    is_discovery_K = discovery_slot_mask(share, k)
    position_2K = np.concatenate(
        [
            _slot_positions(~is_discovery_K, repeats_BK.shape[1]),
            _slot_positions(is_discovery_K, discoveries_BK.shape[1]),
        ]
    )
    both_BK = np.concatenate([repeats_BK, discoveries_BK], axis=1)
    order_BK = np.argsort(np.where(both_BK > 0, position_2K, np.iinfo(np.int64).max), axis=1, kind="stable")[:, :k]
    merged_BK = np.zeros((len(both_BK), k), dtype=np.int64)
    merged_BK[:, : order_BK.shape[1]] = np.take_along_axis(both_BK, order_BK, axis=1)
    return merged_BK


def _slot_positions(is_own_K: NDArray[np.bool_], count: int) -> Ints:
    """Positions of the first `count` items of a list: its own slots, then after all slots."""
    slots = np.flatnonzero(is_own_K)[:count]
    return np.concatenate([slots, len(is_own_K) + np.arange(len(slots), count)])


def _parse_weights(content: Mapping[str, Any]) -> tuple[ReciprocalRank, ReciprocalRank]:
    return ReciprocalRank(**content["repeats"]), ReciprocalRank(**content["discoveries"])


def _fit_list(pool: CandidatePool, cases: RecallCases, is_repeat: bool) -> ReciprocalRank:
    return ReciprocalRank.fit(
        pool.filter_by_repeat(is_repeat), cases.items[LIST_TARGET_KIND[is_repeat]], cases.user_C, CUTOFFS
    )


def _fit_list_of_few_users(pool: CandidatePool, cases: RecallCases, is_repeat: bool) -> ReciprocalRank:
    """Tuned weights if they improve held-out recall over the best of the untuned ones: one channel alone, or all alike.

    The validation part of one person is small enough for weights that fit it by chance.
    """
    part = pool.filter_by_repeat(is_repeat), cases.items[LIST_TARGET_KIND[is_repeat]], cases.user_C, CUTOFFS
    starts = (pool.channels, *((name,) for name in pool.channels))
    untuned = [ReciprocalRank({name: float(name in start) for name in pool.channels}) for start in starts]
    best = max(untuned, key=lambda weights: weights.recall(*part))
    is_better = _improves_held_out(pool, cases, ChannelWeights(best, best), is_repeat)
    return ReciprocalRank.fit(*part) if is_better else best


def _fit_scene_weights(pool: CandidatePool, cases: RecallCases, overall: ChannelWeights) -> ChannelWeights | None:
    """Weights tuned on the cases of one scene for the lists that they improve; None if they improve neither."""
    own = {
        kind: _fit_list(pool, cases, kind) if _improves_held_out(pool, cases, overall, kind) else None
        for kind in LIST_TARGET_KIND
    }
    if not any(own.values()):
        return None
    return ChannelWeights(own[True] or overall.repeats, own[False] or overall.discoveries)


def _improves_held_out(pool: CandidatePool, cases: RecallCases, overall: ChannelWeights, is_repeat: bool) -> bool:
    """Whether weights tuned on half of the users (of the cases of fewer than MIN_USERS users) improve recall of the other
    half over the overall weights.

    The overall weights were tuned on both halves, so the test is conservative.
    """
    users_C = np.unique(cases.user_C, return_inverse=True)[1]
    is_first_half_C = (users_C if users_C.max(initial=-1) + 1 >= MIN_USERS else np.arange(len(cases))) % 2 == 0
    gain = 0.0
    for is_tuned_C in (is_first_half_C, ~is_first_half_C):
        tuned, tested = np.flatnonzero(is_tuned_C), np.flatnonzero(~is_tuned_C)
        if not len(tuned) or not len(tested):
            return False
        weights = _fit_list(pool.take(tuned), cases.take(tuned), is_repeat)
        test_pool, test_cases = pool.take(tested).filter_by_repeat(is_repeat), cases.take(tested)
        test = test_pool, test_cases.items[LIST_TARGET_KIND[is_repeat]], test_cases.user_C, CUTOFFS
        gain += weights.recall(*test) - overall.for_list(is_repeat).recall(*test)
    return gain > 0


def _format_weights(weights: ChannelWeights) -> str:
    kinds = {"repeats": weights.repeats, "discoveries": weights.discoveries}
    return "; ".join(
        f"{kind} by " + ", ".join(f"{name} {weight:g}" for name, weight in fusion.weights.items() if weight)
        for kind, fusion in kinds.items()
    )


def choose_share(lists: Mapping[float, Ints], cases: RecallCases, baseline: Ints | None = None) -> tuple[float, Curve]:
    """The share whose validation objective is best, as the mean over samples of the users (bagging, Breiman 1996).

    The objective is flat around its maximum: the best share of one sample of users differs from that of another by
    chance, the mean over many samples hardly does. Discoveries must not cost so much that a heuristic would do: the share is
    at most the largest one of `lists` that finds significantly more of all targets than the baseline, if there is one.

    Args:
        lists: Fused lists [C, K] by share.
        cases: Their cases.
        baseline: Items [C, K] of the baseline; None: the share has no bound.

    Returns:
        The share, rounded to a hundredth, and by share of `lists` the recall table with `best_in_samples`, the part of
        the samples in which it is best.
    """
    shares = sorted(lists)
    objective_RS = objective_draws([lists[share] for share in shares], cases, SAMPLES)
    best_R = objective_RS.round(6).argmax(axis=1)  # of equal shares the smallest
    curve = {
        share: recall_table(lists[share], cases) | {"best_in_samples": float((best_R == number).mean())}
        for number, share in enumerate(shares)
    }
    share = round(float(np.array(shares)[best_R].mean()), 2)
    return (share if baseline is None else min(share, _largest_better_share(lists, baseline, cases))), curve


def _largest_better_share(lists: Mapping[float, Ints], baseline: Ints, cases: RecallCases) -> float:
    """The largest share that finds significantly more of all targets than the baseline; 1 if none does."""
    shares = sorted(lists)
    systems = [*(lists[share] for share in shares), baseline]
    recall_RS = recall_draws(systems, cases, SAMPLES, [("targets", CUTOFFS[1])])
    low_S = np.quantile(recall_RS[:, :-1] - recall_RS[:, -1:], 0.025, axis=0)
    return max((share for share, low in zip(shares, low_S.tolist(), strict=True) if low > 0), default=1.0)
