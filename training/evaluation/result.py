"""One evaluation: everything that was measured, as estimates, and as the JSON that other tools read.

Knows nothing about how it was measured or shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.metrics.recall_metrics import EstimateByPart


@dataclass
class Result:
    """`recall` and `slate`: name → metric → part → estimate; `ranking`: name → task → metric → estimate.

    `differences`: the pairs (A, B) to report, best first in interest. `notes` are JSON values for people: what was
    chosen, how many cases.
    """

    as_of: str
    split: str
    recall: dict[str, dict[str, EstimateByPart]] = field(default_factory=dict)
    coverage: dict[str, float] = field(default_factory=dict)
    slate: dict[str, dict[str, EstimateByPart]] = field(default_factory=dict)
    ranking: dict[str, dict[str, dict[str, Estimate]]] = field(default_factory=dict)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def differences(self) -> dict[str, dict[str, list[float]]]:
        """`{"A - B": {metric: [value, low, high]}}`, paired over users.

        Recall and slate metrics stand under their name for all targets and under `metric/part` for the others; ranking
        metrics under their name for the task `not_skipped` and under `task/metric` for every task.
        """
        return {f"{one} - {other}": self._difference(one, other) for one, other in self.pairs}

    def _difference(self, one: str, other: str) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for table in (self.recall, self.slate):
            for metric, parts in table.get(one, {}).items():
                for part, estimate in parts.items():
                    if other in table:
                        difference = (estimate - table[other][metric][part]).interval()
                        found[metric if part == "all" else f"{metric}/{part}"] = difference
        for task, metrics in self.ranking.get(one, {}).items():
            for metric, estimate in metrics.items():
                if task in self.ranking.get(other, {}):
                    difference = (estimate - self.ranking[other][task][metric]).interval()
                    found[f"{task}/{metric}"] = difference
                    if task == "not_skipped":
                        found[metric] = difference
        return found

    def to_json(self) -> dict[str, Any]:
        """The shape of `reports/evaluation.json`; a figure that nobody could be measured on is null."""
        recall = {name: {**_intervals(table), "coverage": self.coverage[name]} for name, table in self.recall.items()}
        content = {
            "as_of": self.as_of,
            "split": self.split,
            "recall": recall,
            "slate": {name: _intervals(table) for name, table in self.slate.items()},
            "ranking": {name: _intervals(table) for name, table in self.ranking.items()},
            "differences": self.differences(),
            **self.notes,
        }
        cleaned: dict[str, Any] = _without_nan(content)
        return cleaned

    def flat_metrics(self) -> dict[str, float]:
        """Every figure under one name, for MLflow: `recall/NAME/METRIC/PART`."""
        flat: dict[str, float] = {}
        for kind, tables in (("recall", self.recall), ("slate", self.slate), ("ranking", self.ranking)):
            for name, table in tables.items():
                for outer, inner in table.items():
                    flat |= {f"{kind}/{name}/{outer}/{key}": estimate.value for key, estimate in inner.items()}
        return {name: value for name, value in flat.items() if not math.isnan(value)}


def _intervals(table: Mapping[str, Mapping[str, Estimate]]) -> dict[str, dict[str, list[float]]]:
    return {outer: {key: estimate.interval() for key, estimate in inner.items()} for outer, inner in table.items()}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
