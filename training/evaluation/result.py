"""Result of an evaluation: all metrics as estimates, and as the content of `evaluation.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.metrics.recall_metrics import EstimateByPart


@dataclass
class Result:
    """All metrics of an evaluation."""

    as_of: str  # YYYY-MM-DD
    split: str
    recall: dict[str, dict[str, EstimateByPart]] = field(default_factory=dict)  # list → metric → part → estimate
    coverage: dict[str, float] = field(default_factory=dict)  # by list
    slate: dict[str, dict[str, EstimateByPart]] = field(default_factory=dict)  # list → metric → part → estimate
    ranking: dict[str, dict[str, dict[str, Estimate]]] = field(
        default_factory=dict
    )  # ranker → task → metric → estimate
    pairs: list[tuple[str, str]] = field(default_factory=list)  # differences to report, most relevant first
    notes: dict[str, Any] = field(default_factory=dict)  # further sections of evaluation.json

    def differences(self) -> dict[str, dict[str, list[float]]]:
        """`{"A - B": {metric: [value, low, high]}}`, paired over users, without pairs that have no metric in common.

        The key of a recall or slate metric is its name for all targets and `metric/part` for a part of the targets;
        the key of a ranking metric is `task/metric`, and also its name for the task `not_skipped`.
        """
        differences = {f"{first} - {second}": self.difference(first, second) for first, second in self.pairs}
        return {pair: metrics for pair, metrics in differences.items() if metrics}

    def difference(self, first: str, second: str) -> dict[str, list[float]]:
        """Differences of one list or ranker from another one, by metric."""
        differences: dict[str, list[float]] = {}
        for table in (self.recall, self.slate):
            for metric, parts in table.get(first, {}).items():
                for part, estimate in parts.items():
                    if second in table:
                        difference = (estimate - table[second][metric][part]).interval()
                        differences[metric if part == "all" else f"{metric}/{part}"] = difference
        for task, metrics in self.ranking.get(first, {}).items():
            for metric, estimate in metrics.items():
                if task in self.ranking.get(second, {}):
                    difference = (estimate - self.ranking[second][task][metric]).interval()
                    differences[f"{task}/{metric}"] = difference
                    if task == "not_skipped":
                        differences[metric] = difference
        return differences

    def to_json(self) -> dict[str, Any]:
        """Content of `reports/evaluation.json`; a metric without any case is null."""
        recall = {name: {**intervals(table), "coverage": self.coverage[name]} for name, table in self.recall.items()}
        content = {
            "as_of": self.as_of,
            "split": self.split,
            "recall": recall,
            "slate": {name: intervals(table) for name, table in self.slate.items()},
            "ranking": {name: intervals(table) for name, table in self.ranking.items()},
            "differences": self.differences(),
            **self.notes,
        }
        cleaned: dict[str, Any] = json.loads(json.dumps(content), parse_constant=lambda _: None)
        return cleaned


def intervals(table: Mapping[str, Mapping[str, Estimate]]) -> dict[str, dict[str, list[float]]]:
    """Each estimate of a table of two levels as [value, low, high]."""
    return {outer: {key: estimate.interval() for key, estimate in inner.items()} for outer, inner in table.items()}
