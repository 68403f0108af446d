"""Model selection on the validation part: fusion weights, ranker, task weights, ranker weights, discovery shares,
diversity and baselines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.array_types import Ints
from recommender.catalog.arrays import Ragged
from recommender.ranking.task_weights import ANY_SCENE, DEFAULT_TASK, LISTWISE_HEAD, TaskWeights
from recommender.recall.popularity import Popularity
from recommender.slate.fusion import DEFAULT_DISCOVERY_SHARE, Fusion
from recommender.slate.ranker_blend import BLEND_WEIGHT_GRID, Blend
from recommender.slate.scene_settings import CANDIDATES_PER_CHANNEL
from training.data.recall_cases import RecallCases, recall_table
from training.evaluation import task_weight_search
from training.evaluation.baselines.tuned import HEURISTICS, Baselines
from training.evaluation.fusion_tuning import MIN_SCENE_CASES, fit_fusion
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import recall_metrics
from training.evaluation.ranking_evaluation import measure_rankers
from training.evaluation.serving_filter import ServingFilter
from training.evaluation.slate_evaluation import (
    ARTIST_CAP,
    METRICS,
    REACHABLE,
    Requests,
    Slate,
    nanmean_or_none,
    sample_rows,
    slate_objective,
)
from training.ranking.labeled_cases import ranking_cases

VALIDATION_RANKING_CASES = 50_000
MIN_GAUC_GAIN = 0.001
"""GAUC that a ranker must gain over a simpler one to be served; each level takes two to three times as long per
request.
"""
MAX_RELATIVE_LOSS = 0.01  # of each metric, for more diversity
MAX_RECALL_LOSS, MAX_RELATIVE_RECALL_LOSS = 0.008, 0.03
"""Recall@30 that the list gives up for discoveries, on validation: the smaller of both."""
DISCOVERY_SHARES = (0.0, 0.04, 0.07, 0.1, 0.14, 0.17, 0.2, 0.24, 0.27, 0.3, 0.34, 0.37, 0.4, 0.44, 0.47, 0.5)
"""One discovery more in a slate with each value."""
DIVERSITY_STRENGTHS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
LISTWISE_HEAD_SHARES = (0.0, 0.5, 0.75, 0.9, 1.0)
INITIAL_ORDER = Blend(0.0, discovery_shares={ANY_SCENE: DEFAULT_DISCOVERY_SHARE})
"""Order whose parameters are tuned one after the other."""


@dataclass(frozen=True)
class Choice:
    """Everything that is chosen on the validation part."""

    fusion: Fusion
    ranker: str | None  # None: no ranker is fitted
    blend: Blend  # ranker weights, task weights with the listwise head, discovery shares, diversity
    baselines: Baselines
    notes: dict[str, Any]  # section `chosen` of evaluation.json


def choose(held_out: HeldOutModels, servable: ServingFilter) -> Choice:
    """Choose fusion, ranker and blend on samples of the validation cases (sizes from the recipe), and tune the
    baselines.
    """
    recipe = held_out.data.recipe
    all_cases = held_out.data.recall_cases("validation")
    cases = all_cases.take(sample_rows(all_cases, all_cases.number_per_user(recipe.fusion_cases_per_user)))
    candidates, history = held_out.recall(cases, "validation")
    candidates = filter_known_items(candidates, history, held_out.data.validation_catalog_V)
    candidates = select_channels(candidates, len(held_out.data.user_ids_U))
    baselines = Baselines.tune(held_out.data, CANDIDATES_PER_CHANNEL)
    fusion, shares = fit_fusion(candidates, history, cases, _recall_best_heuristic(baselines, cases))
    rows = sample_rows(cases, cases.number_per_user(recipe.validation_cases_per_user))
    sample = {name: items_CK[rows] for name, items_CK in candidates.items()}
    slate = Slate.build(Requests.read(cases.take(rows), sample, history.take(rows), servable), fusion)
    notes: dict[str, Any] = {
        "fusion_cases": len(cases),
        "slate_cases": len(rows),
        "share_table": _by_text(shares),
        **baselines.notes(),
    }
    if not held_out.rankers:
        blend = tune_diversity(slate, _tune_shares(slate, INITIAL_ORDER, notes), notes)
        return Choice(fusion, None, blend, baselines, notes)
    ranking = ranking_cases(held_out.data).filter_part("validation").evenly_spread(VALIDATION_RANKING_CASES)
    metrics = measure_rankers(held_out, ranking, "validation")
    gauc = {name: {task: row["gauc"].value for task, row in metrics[name][0].items()} for name in held_out.rankers}
    best = select_ranker({name: row.get(DEFAULT_TASK, next(iter(row.values()), 0.0)) for name, row in gauc.items()})
    tasks = held_out.rankers[best].tasks
    labels_RT = ranking.labels_RT[:, [ranking.tasks.index(task) for task in tasks]]
    heads, heads_table = task_weight_search.fit_task_weights(
        metrics[best][1], labels_RT, tasks, ranking.user_R, ranking.scene_R
    )
    slate = slate.with_ranker(held_out, held_out.rankers[best], heads)
    slate, blend = _tune_listwise_head(slate, heads, notes)
    blend = _tune_shares(slate, tune_discovery_weight(slate, blend, notes), notes)
    notes |= {"validation_gauc": gauc, "heads_table": heads_table}
    blend = tune_diversity(slate, blend, notes)
    return Choice(fusion, best, blend, baselines, notes)


def _recall_best_heuristic(baselines: Baselines, cases: RecallCases) -> NDArray[np.int64]:
    """Lists [C, K] of the heuristic baseline that finds most of all targets of the cases."""
    k = CANDIDATES_PER_CHANNEL
    lists = baselines.recall(cases, k, HEURISTICS).values()
    return max(lists, key=lambda items_CK: recall_table(items_CK, cases)[f"recall_at_{k}/all"])


def filter_known_items(candidates: Mapping[str, Ints], history: Ragged, known_V: NDArray[np.bool_]) -> dict[str, Ints]:
    """Candidates that the user of the request has played or that are in `known_V`; 0 in the places of the others."""
    return {
        name: np.where(known_V[items_CK] | history.contains(items_CK), items_CK, 0)
        for name, items_CK in candidates.items()
    }


def select_channels(candidates: Mapping[str, Ints], users: int) -> dict[str, Ints]:
    """The channels that can get a weight: without popularity if there is one user, whose own plays are no popularity, unless
    it is the only channel.
    """
    others = {name: lists for name, lists in candidates.items() if name != Popularity.name}
    return others if users == 1 and others else dict(candidates)


def select_ranker(gauc: Mapping[str, float]) -> str:
    """The simplest ranker within MIN_GAUC_GAIN of the best; `gauc` has the rankers from simple to complex."""
    finite = {name: float(np.nan_to_num(value)) for name, value in gauc.items()}
    return next(name for name, value in finite.items() if value > max(finite.values()) - MIN_GAUC_GAIN)


def _tune_listwise_head(slate: Slate, heads: TaskWeights, notes: dict[str, Any]) -> tuple[Slate, Blend]:
    """Choose the share of the listwise head (if there is one) and the ranker weight jointly; ties go to smaller values.

    Adds the tables of candidates to `notes`. Returns the slate with the chosen task weights, and INITIAL_ORDER with
    these and the ranker weight.
    """
    candidates, rows = {}, {}
    for share in LISTWISE_HEAD_SHARES if LISTWISE_HEAD in slate.task_probabilities else (0.0,):
        mixed = heads.with_listwise_share(share)
        reweighted = slate.with_task_weights(mixed)
        orders = {weight: (replace(INITIAL_ORDER, weight=weight), ARTIST_CAP) for weight in BLEND_WEIGHT_GRID}
        table = reweighted.measure_each(orders)
        weight = max(table, key=lambda weight: (slate_objective(table[weight]), -weight))
        candidates[share] = reweighted, replace(INITIAL_ORDER, weight=weight, heads=mixed), table
        rows[share] = {"weight": weight, **table[weight]}
    best = max(rows, key=lambda share: (slate_objective(rows[share]), -share))
    reweighted, order, table = candidates[best]
    notes |= {"listened_table": _by_text(rows), "blend_table": _by_text(table)}
    return reweighted, order


def tune_discovery_weight(slate: Slate, order: Blend, notes: dict[str, Any]) -> Blend:
    """The order with a ranker weight among discoveries; adds the table of candidates to `notes`.

    The weight with the best recall@30 of reachable discoveries (ties: the smallest), if it is significantly better than 0, the
    order of the channels that are good at discoveries.
    """
    orders = {weight: (replace(order, discovery_weight=weight), ARTIST_CAP) for weight in BLEND_WEIGHT_GRID}
    slates = slate.select_each(orders)
    table = {weight: slate.metric_values(items_CL) for weight, items_CL in slates.items()}
    best = max(table, key=lambda weight: (round(table[weight][REACHABLE], 6), -weight))
    reachable = [
        recall_metrics.measure(slates[weight], slate.requests.cases, METRICS[:1])[METRICS[0]]["reachable"]
        for weight in (best, 0.0)
    ]
    notes["discovery_weight_table"] = _by_text(table)
    return replace(order, discovery_weight=best if (reachable[0] - reachable[1]).interval()[1] > 0 else 0.0)


def _tune_shares(slate: Slate, blend: Blend, notes: dict[str, Any]) -> Blend:
    """Choose the share of discoveries in the visible list, also of each scene with at least MIN_SCENE_CASES slates; adds
    the table of all scenes to `notes`.
    """
    scenes = slate.requests.scenes
    share, table = choose_discovery_share(slate, blend)
    notes["visible_share_table"] = _by_text(table)
    shares = {ANY_SCENE: share}
    for scene, count in sorted(Counter(scenes).items()):
        if scene and count >= MIN_SCENE_CASES:
            rows = np.flatnonzero([one == scene for one in scenes])
            shares[scene], _ = choose_discovery_share(slate.take(rows), blend)
    return replace(blend, discovery_shares=shares)


def choose_discovery_share(slate: Slate, order: Blend) -> tuple[float, dict[float, dict[str, float]]]:
    """Largest share of DISCOVERY_SHARES whose recall@30 is at most MAX_RECALL_LOSS below the best, and all metrics.

    The list leans to discovery as far as it costs hardly any recall. The share with the best recall is often 0,
    because repeats are more likely to be listened to.
    """
    table = slate.measure_each(
        {share: (replace(order, discovery_shares={ANY_SCENE: share}), ARTIST_CAP) for share in DISCOVERY_SHARES}
    )
    best = max(row["recall_at_30"] for row in table.values())
    lowest = best - min(MAX_RECALL_LOSS, MAX_RELATIVE_RECALL_LOSS * best)
    acceptable = [share for share, row in table.items() if row["recall_at_30"] >= lowest]  # none without slates
    return max(acceptable, default=order.discovery_shares[ANY_SCENE]), table


def tune_diversity(slate: Slate, order: Blend, notes: dict[str, Any]) -> Blend:
    """The order with the largest diversity strength up to which no metric drops significantly or by more than MAX_RELATIVE_LOSS.

    The strength is 0 if no facets are known. Adds to `notes`, by strength: METRICS, the paired change of each [value, low, high]
    over users, and the intra-list diversity of facets.
    """
    table: dict[float, dict[str, Any]] = {}
    chosen, is_acceptable = 0.0, True
    orders = {strength: (replace(order, diversity=strength), ARTIST_CAP) for strength in DIVERSITY_STRENGTHS}
    for strength, items_CL in slate.select_each(orders).items():
        metrics = recall_metrics.measure(items_CL, slate.requests.cases, METRICS)
        if strength == 0:
            baseline = metrics
        change = {name: (metrics[name]["all"] - baseline[name]["all"]).interval() for name in METRICS}
        is_acceptable = is_acceptable and not any(
            high < 0 or value < -MAX_RELATIVE_LOSS * baseline[name]["all"].value
            for name, (value, _, high) in change.items()
        )
        chosen = strength if is_acceptable else chosen
        diversity = nanmean_or_none(slate.requests.catalog.facets.intra_list_diversity(items_CL))
        table[strength] = {name: metrics[name]["all"].value for name in METRICS}
        table[strength] |= {f"{name}_change": interval for name, interval in change.items()} | {"diversity": diversity}
    notes["diversity_table"] = _by_text(table)
    return replace(order, diversity=chosen if table[0.0]["diversity"] is not None else 0.0)


def _by_text(table: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(value): row for value, row in table.items()}
