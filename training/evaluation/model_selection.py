"""What validation chooses: how channels are fused, which ranker is served, how its heads become one score, its share of the
order, and the parameters of the baselines.

Knows nothing about test figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.ragged import Ragged
from training.evaluation import task_weight_search
from training.evaluation.baselines.tuned import Baselines
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.ranking_evaluation import measure_rankers
from training.evaluation.serving_filter import ServingFilter
from training.evaluation.slate import Slate, sample_rows
from training.ranking.cases import ranking_cases
from training.ranking.task_weights import DEFAULT_TASK, LISTWISE_HEAD, TaskWeights
from training.recall.channel import Candidates
from training.slate.blend import Blend
from training.slate.fusion import CANDIDATES_PER_CHANNEL, Fusion

VALIDATION_RANKING_CASES = 100_000
MIN_GAUC_GAIN = 0.001
"""So much GAUC a rung must bring to be served in place of a lower one: each costs a request two or three times as much."""
LISTWISE_HEAD_SHARES = (0.0, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class Choice:
    """What validation chose: fusion, the ranker (None: there is none), its share of the order with the heads of a slate,
    the heads of single cases, and the baselines.
    """

    fusion: Fusion
    ranker: str | None
    blend: Blend
    task_weights: TaskWeights
    baselines: Baselines
    notes: dict[str, Any]


def choose(held_out: HeldOutModels, servable: ServingFilter) -> Choice:
    """Fusion, ranker and blend, each on a sample of the validation cases that the recipe bounds, and the baselines."""
    wanted = held_out.data.recipe
    all_cases = held_out.data.recall_cases("validation")
    cases = all_cases.take(sample_rows(all_cases, wanted.fusion_cases_per_user))
    heard = held_out.read_user_history(cases)
    found = filter_known_items(held_out.recall(cases, "validation"), heard, held_out.data.validation_catalog_V)
    fusion, shares = Fusion.fit(found, heard, cases)
    rows = sample_rows(cases, wanted.validation_cases_per_user)
    some = {name: type(one)(one.items_BK[rows], one.scores_BK[rows]) for name, one in found.items()}
    beside = Baselines.tune(held_out.data, CANDIDATES_PER_CHANNEL)
    why: dict[str, Any] = {
        "fusion_cases": len(cases),
        "scene_cases": {scene: count for scene, count in sorted(Counter(cases.scenes.tolist()).items()) if scene},
        "slate_cases": len(rows),
        "share_table": {str(share): table for share, table in shares.items()},
        "baselines": beside.notes(),
    }
    if not held_out.rankers:
        slate = Slate.build(held_out, cases.take(rows), some, fusion, None, TaskWeights(), servable)
        return Choice(fusion, None, Blend(0.0, diversity=_tune_diversity(slate, 0.0, why)), TaskWeights(), beside, why)
    ranking = ranking_cases(held_out.data).filter_part("validation")
    ranking = ranking.take(
        np.unique(np.linspace(0, max(len(ranking) - 1, 0), VALIDATION_RANKING_CASES).astype(np.int64))
    )
    found_by = measure_rankers(held_out, ranking, "validation")
    figures = {
        name: {task: metrics["gauc"].value for task, metrics in tasks.items()} for name, (tasks, _) in found_by.items()
    }
    best = select_ranker({name: one.get(DEFAULT_TASK, next(iter(one.values()), 0.0)) for name, one in figures.items()})
    tasks = held_out.rankers[best].tasks
    labels_RT = ranking.labels_RT[:, [ranking.tasks.index(task) for task in tasks]]
    heads, heads_table = task_weight_search.fit_task_weights(
        found_by[best][1], labels_RT, tasks, ranking.user_R, ranking.scene_R
    )
    slate = Slate.build(held_out, cases.take(rows), some, fusion, held_out.rankers[best], heads, servable)
    slate, served, weight = _tune_listwise_head(slate, heads, why)
    why |= {
        "validation_gauc": figures,
        "heads_table": heads_table,
        "cap_table": {str(most): row for most, row in slate.measure_artist_caps(weight).items()},
    }
    return Choice(fusion, best, Blend(weight, served, _tune_diversity(slate, weight, why)), heads, beside, why)


def filter_known_items(
    found: Mapping[str, Candidates], heard: Ragged, known_V: NDArray[np.bool_]
) -> dict[str, Candidates]:
    """The candidates that the user of each request has heard, or that `known_V` holds."""
    return {
        name: one.filter_by_mask(known_V[one.items_BK] | heard.contains(one.items_BK)) for name, one in found.items()
    }


def select_ranker(gauc: Mapping[str, float]) -> str:
    """The lowest rung of the ladder, in whose order the rankers stand, that no other is above by RUNG_WORTH or more."""
    known = {name: float(np.nan_to_num(value)) for name, value in gauc.items()}
    return next(name for name, value in known.items() if value > max(known.values()) - MIN_GAUC_GAIN)


def _tune_listwise_head(slate: Slate, heads: TaskWeights, why: dict[str, Any]) -> tuple[Slate, TaskWeights, float]:
    """The slate by the share that the head LISTENED, where there is one, has among the heads and by the ranker's share of
    the order that are best together; with these heads, and the ranker's share. Of equals the smaller shares.
    """
    tried = {}
    for share in LISTWISE_HEAD_SHARES if LISTWISE_HEAD in slate.task_probabilities else (0.0,):
        mixed = heads.with_listwise_share(share)
        one = slate.with_task_weights(mixed)
        weight, table = one.choose_weight()
        tried[share] = (one, mixed, weight, table)
    why["listened_table"] = {
        str(share): {"weight": weight, **table[weight]} for share, (*_, weight, table) in tried.items()
    }
    best = max(tried, key=lambda share: (round(sum(tried[share][3][tried[share][2]].values()), 6), -share))
    one, mixed, weight, table = tried[best]
    why["blend_table"] = {str(b): row for b, row in table.items()}
    return one, mixed, weight


def _tune_diversity(slate: Slate, weight: float, why: dict[str, Any]) -> float:
    """The strength of diversity, with its table in `why`."""
    strength, table = slate.choose_diversity(weight)
    why["diversity_table"] = {str(one): row for one, row in table.items()}
    return strength
