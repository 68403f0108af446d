"""Tunes fusion on validation sessions: weights of each list, then the share of discoveries, per scene if it has enough of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from recommender.array_types import Ints
from recommender.catalog.arrays import Ragged
from recommender.ranking.task_weights import ANY_SCENE
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.fusion import ChannelWeights, Fusion, ReciprocalRank
from recommender.slate.scene_settings import CANDIDATES_PER_CHANNEL
from training.data.candidate_lists import fuse_candidates
from training.data.recall_cases import MIN_USERS, RecallCases, recall_draws, recall_table
from training.evaluation.reciprocal_rank_tuning import fit_weights, weighted_recall

CUTOFFS = (50, 200)
MIN_SCENE_CASES = 200
DISCOVERY_SHARE_GRID = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
OBJECTIVE = (("targets", CUTOFFS[0]), ("targets", CUTOFFS[1]), ("reachable", CUTOFFS[1]))
"""Parts of `validation_objective`."""
SAMPLES = 1000
LIST_TARGET_KIND = {True: "repeat", False: "reachable"}
"""Kind of targets that the list of repeats (True) and the list of discoveries (False) are tuned on."""
Curve = dict[float, dict[str, float]]


def fit_fusion(
    candidates: Mapping[str, Ints],
    history: Ragged,
    cases: RecallCases,
    baseline: Ints | None = None,
) -> tuple[Fusion, Curve]:
    """Tune the weights of each list by its recall, then the share by the validation objective of the merged list.

    A scene with at least MIN_SCENE_CASES cases gets its own share. It gets its own weights if weights tuned on half
    of its users improve recall for the other half over the weights of all scenes. Weights of fewer than MIN_USERS users
    are tuned only if they improve on the best channel in this way. `baseline` [C, K] bounds the shares, see
    `choose_share`.

    Returns:
        The fusion, and the table of `choose_share` for all scenes together.
    """
    if not len(cases):
        return Fusion(), {}
    pool = CandidateTable.merge(candidates, history)
    has_few_users = len(np.unique(cases.user_C)) < MIN_USERS
    fit_list = _fit_list_of_few_users if has_few_users else _fit_list
    fitted = {is_repeat: fit_list(pool, cases, is_repeat) for is_repeat in LIST_TARGET_KIND}
    overall = Fusion(fitted[True], fitted[False])
    rows = {
        scene: np.flatnonzero(cases.scenes == scene) for scene in sorted({str(name) for name in cases.scenes if name})
    }
    rows = {scene: scene_rows for scene, scene_rows in rows.items() if len(scene_rows) >= MIN_SCENE_CASES}
    own = {
        scene: _fit_scene_weights(pool.take_requests(part), cases.take(part), overall) for scene, part in rows.items()
    }
    scenes = {scene: weights for scene, weights in own.items() if weights is not None}
    weighted = replace(overall, scenes=scenes)
    k = CANDIDATES_PER_CHANNEL
    merged = fuse_candidates(
        candidates,
        history,
        cases,
        lambda table, scenes: weighted.fuse_by_share(table, k, DISCOVERY_SHARE_GRID, scenes),
    )
    share, curve = choose_share(merged, cases, baseline)
    if share not in curve:
        fused = fuse_candidates(
            candidates, history, cases, lambda table, scenes: {share: weighted.fuse(table, scenes, share).items(k)}
        )
        curve[share] = recall_table(fused[share], cases)
    shares = {ANY_SCENE: share}
    for scene, part in rows.items():
        of_scene = {share: items[part] for share, items in merged.items()}
        shares[scene], _ = choose_share(of_scene, cases.take(part), None if baseline is None else baseline[part])
    return replace(overall, shares=shares, scenes=scenes), curve


def _fit_list(pool: CandidateTable, cases: RecallCases, is_repeat: bool) -> ReciprocalRank:
    return fit_weights(
        pool.take(pool.is_discovery_C != is_repeat), cases.items[LIST_TARGET_KIND[is_repeat]], cases.user_C, CUTOFFS
    )


def _fit_list_of_few_users(pool: CandidateTable, cases: RecallCases, is_repeat: bool) -> ReciprocalRank:
    """Tuned weights if they improve held-out recall over the best of the untuned ones: one channel alone, or all alike.

    The validation part of one person is small enough for weights that fit it by chance.
    """
    part = pool.take(pool.is_discovery_C != is_repeat), cases.items[LIST_TARGET_KIND[is_repeat]], cases.user_C, CUTOFFS
    starts = (pool.sources, *((name,) for name in pool.sources))
    untuned = [ReciprocalRank({name: float(name in start) for name in pool.sources}) for start in starts]
    best = max(untuned, key=lambda weights: weighted_recall(weights, *part))
    is_better = _improves_held_out(pool, cases, ChannelWeights(best, best), is_repeat)
    return fit_weights(*part) if is_better else best


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
        gain += weighted_recall(weights, *test) - weighted_recall(
            overall.repeats if is_repeat else overall.discoveries, *test
        )
    return gain > 0


def choose_share(lists: Mapping[float, Ints], cases: RecallCases, baseline: Ints | None = None) -> tuple[float, Curve]:
    """The share whose validation objective is best, as the mean over samples of the users (bagging, Breiman 1996).

    The objective is flat around its maximum: the best shares of two samples of users differ by
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
    objective_RS = recall_draws([lists[share] for share in shares], cases, SAMPLES, OBJECTIVE)
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
    recall_RS = recall_draws([*(lists[share] for share in shares), baseline], cases, SAMPLES, OBJECTIVE[1:2])
    low_S = np.quantile(recall_RS[:, :-1] - recall_RS[:, -1:], 0.025, axis=0)
    return max((share for share, low in zip(shares, low_S.tolist(), strict=True) if low > 0), default=1.0)
