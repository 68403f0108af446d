"""Fusion of the channels' candidates: repeats and discoveries are fused separately and interleaved by a share.

Reciprocal rank fusion of everything into one list would pay for each discovery with a repeat that is more likely to be
listened to. Repeats and discoveries are therefore fused separately, each by the channels that are good at it, and one
number sets the share of positions for discoveries. All parameters are tuned on validation sessions, per scene if it has
enough of them.

The first repeats are many times more likely to be listened to than any discovery, the hundredth repeat is not.
Discoveries therefore become denser further down: at position x they have `share * min(1, x / FULL_DENSITY_POSITION) **
(1 - share)` of the positions, which is none for share 0 and all for share 1.

Legend: B requests, K candidates of a request, C candidates of all requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from training.data.ragged import Ragged
from training.data.recall_cases import MIN_USERS, RecallCases, objective_draws, recall_draws, recall_table
from training.engine.config_io import config_from_dict
from training.engine.workspace import write_json
from training.recall.channel import Candidates
from training.slate.candidate_table import CandidateTable
from training.slate.reciprocal_rank import ReciprocalRank
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
class ChannelWeights:
    """Channel weights of the list of repeats and the list of discoveries."""

    repeats: ReciprocalRank = field(default_factory=ReciprocalRank)
    discoveries: ReciprocalRank = field(default_factory=ReciprocalRank)

    def for_list(self, is_repeat: bool) -> ReciprocalRank:
        """Weights of one of the lists."""
        return self.repeats if is_repeat else self.discoveries

    def scores(self, table: CandidateTable) -> Floats:
        """Scores of all candidates, each by the weights of its list, [C]."""
        return np.where(table.is_discovery_C, self.discoveries.scores(table), self.repeats.scores(table))


@dataclass(frozen=True)
class Fusion(ChannelWeights):
    """Channel weights and shares of discoveries, overall and by scene."""

    # share of positions for discoveries, 0..1, by scene; "" for all other scenes
    shares: Mapping[str, float] = field(default_factory=lambda: {ANY_SCENE: DEFAULT_DISCOVERY_SHARE})
    scenes: Mapping[str, ChannelWeights] = field(default_factory=dict)  # scenes with their own weights

    def fuse(
        self, table: CandidateTable, scenes: Sequence[str] | None = None, share: float | None = None
    ) -> CandidateTable:
        """The candidates of each request, best first; scores by place, see `SCORE_HALF_LIFE`.

        Args:
            table: Merged candidates of the sources; those of a source that failed may be missing.
            scenes: Scene of each request; None: no scene.
            share: Share of discoveries; None: the share of the scene.

        Raises:
            ValueError: `share` is outside [0, 1].
        """
        names = list(scenes or [ANY_SCENE] * table.requests)
        share_B = [self.discovery_share(name) if share is None else share for name in names]
        return interleave(self._order_lists(table, names), share_B)

    def fuse_by_share(self, table: CandidateTable, k: int, scenes: Sequence[str] | None = None) -> dict[float, Ints]:
        """The best `k` items of each request [B, k], as `fuse` gives them, for every share of DISCOVERY_SHARE_GRID and the
        chosen one.
        """
        ordered = self._order_lists(table, list(scenes or [ANY_SCENE] * table.requests))
        shares = sorted({*DISCOVERY_SHARE_GRID, self.discovery_share(ANY_SCENE)})
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
        pool = CandidateTable.merge(candidates, history)
        has_few_users = len(np.unique(cases.user_C)) < MIN_USERS
        fit_list = _fit_list_of_few_users if has_few_users else _fit_list
        fitted = {is_repeat: fit_list(pool, cases, is_repeat) for is_repeat in LIST_TARGET_KIND}
        overall = cls(fitted[True], fitted[False])
        rows = {
            scene: np.flatnonzero(cases.scenes == scene)
            for scene in sorted({str(name) for name in cases.scenes if name})
        }
        rows = {scene: scene_rows for scene, scene_rows in rows.items() if len(scene_rows) >= MIN_SCENE_CASES}
        own = {
            scene: _fit_scene_weights(pool.take_requests(part), cases.take(part), overall)
            for scene, part in rows.items()
        }
        scenes = {scene: weights for scene, weights in own.items() if weights is not None}
        weighted = replace(overall, scenes=scenes)
        merged = weighted.fuse_by_share(pool, CANDIDATES_PER_CHANNEL, cases.scenes.tolist())
        merged = {share: merged[share] for share in DISCOVERY_SHARE_GRID}
        share, curve = choose_share(merged, cases, baseline)
        if share not in curve:
            fused = weighted.fuse(pool, cases.scenes.tolist(), share)
            curve[share] = recall_table(fused.items(CANDIDATES_PER_CHANNEL), cases)
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
        return config_from_dict(cls, json.loads(path.read_text()))


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


def _fit_list(pool: CandidateTable, cases: RecallCases, is_repeat: bool) -> ReciprocalRank:
    return ReciprocalRank.fit(
        pool.take(pool.is_discovery_C != is_repeat), cases.items[LIST_TARGET_KIND[is_repeat]], cases.user_C, CUTOFFS
    )


def _fit_list_of_few_users(pool: CandidateTable, cases: RecallCases, is_repeat: bool) -> ReciprocalRank:
    """Tuned weights if they improve held-out recall over the best of the untuned ones: one channel alone, or all alike.

    The validation part of one person is small enough for weights that fit it by chance.
    """
    part = pool.take(pool.is_discovery_C != is_repeat), cases.items[LIST_TARGET_KIND[is_repeat]], cases.user_C, CUTOFFS
    starts = (pool.sources, *((name,) for name in pool.sources))
    untuned = [ReciprocalRank({name: float(name in start) for name in pool.sources}) for start in starts]
    best = max(untuned, key=lambda weights: weights.recall(*part))
    is_better = _improves_held_out(pool, cases, ChannelWeights(best, best), is_repeat)
    return ReciprocalRank.fit(*part) if is_better else best


def _fit_scene_weights(pool: CandidateTable, cases: RecallCases, overall: ChannelWeights) -> ChannelWeights | None:
    """Weights tuned on the cases of one scene for the lists that they improve; None if they improve neither."""
    own = {
        kind: _fit_list(pool, cases, kind) if _improves_held_out(pool, cases, overall, kind) else None
        for kind in LIST_TARGET_KIND
    }
    if not any(own.values()):
        return None
    return ChannelWeights(own[True] or overall.repeats, own[False] or overall.discoveries)


def _improves_held_out(pool: CandidateTable, cases: RecallCases, overall: ChannelWeights, is_repeat: bool) -> bool:
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
        weights = _fit_list(pool.take_requests(tuned), cases.take(tuned), is_repeat)
        test_cases, test_pool = cases.take(tested), pool.take_requests(tested)
        test_pool = test_pool.take(test_pool.is_discovery_C != is_repeat)
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
