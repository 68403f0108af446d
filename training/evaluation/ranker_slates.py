"""The fused order against each ranker's, on the same held-out requests: who may move a slate, and what that is worth.

Every ranker is asked twice: with the heads that learned from single cases alone, and as it would be served, with the share
of the head LISTENED and of the order that validation chose. Knows nothing about how rankers were trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.data.recall_cases import RecallCases
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.metrics import recall_metrics
from training.evaluation.model_selection import Choice
from training.evaluation.serving_filter import ServingFilter
from training.evaluation.slate import METRICS, Slate, sample_rows
from training.ranking.task_weights import LISTWISE_HEAD
from training.recall.channel import Candidates

SLATES_PER_USER = 5
FUSED, POINTWISE_HEADS, SERVED = "fused", "case heads alone", "as served"


def compare_ranker_slates(
    held_out: HeldOutModels,
    cases: RecallCases,
    found: Mapping[str, Candidates],
    choice: Choice,
    servable: ServingFilter,
) -> dict[str, Any]:
    """`requests`, and ranker → order → metric → {"value", "difference" (to the fused order, paired over users)}."""
    rows = sample_rows(cases, SLATES_PER_USER)
    some = {name: type(one)(one.items_BK[rows], one.scores_BK[rows]) for name, one in found.items()}
    table: dict[str, Any] = {}
    for name, ranker in held_out.rankers.items():
        slate = Slate.build(held_out, cases.take(rows), some, choice.fusion, ranker, choice.task_weights, servable)
        orders = {FUSED: slate.select_items(0.0), POINTWISE_HEADS: slate.select_items(1.0)}
        if LISTWISE_HEAD in slate.task_probabilities:
            orders[SERVED] = slate.with_task_weights(choice.blend.heads).select_items(choice.blend.weight)
        measured = {order: recall_metrics.measure(shown, slate.cases, METRICS) for order, shown in orders.items()}
        table[name] = {
            order: {
                metric: {
                    "value": one[metric]["all"].interval(),
                    "difference": (one[metric]["all"] - measured[FUSED][metric]["all"]).interval(),
                }
                for metric in METRICS
            }
            for order, one in measured.items()
        }
    return {"requests": len(rows), "rankers": table}
