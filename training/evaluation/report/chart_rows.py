"""Rows of the charts and tables of the evaluation report, and parameters that validation chose, with all candidate values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from recommender.ranking.task_weights import ANY_SCENE, LISTWISE_HEAD
from training.evaluation.baselines.tuned import BASELINES, HEURISTIC_BASELINES
from training.evaluation.report.charts import Bar, by_value
from training.evaluation.report.verdicts import GATE_METRIC, OWN_LISTS, REACHABLE, SIMPLE_RULES, difference_class

BASELINE_NAMES = (*BASELINES, *HEURISTIC_BASELINES, "artist_popularity")
# Over all targets, differences to these baselines are large and significant; in a chart they would dwarf the others.
DISCOVERY_BASELINES = ("popularity", *BASELINES)
DIFFERENCE_METRICS = ("recall_at_50", "recall_at_200", REACHABLE, "recall_at_30", "ndcg_at_10", "gauc", "auc")

Content = Mapping[str, Any]
Table = Mapping[str, Any]

SLATE_METRICS = ("recall_at_30", "ndcg_at_10")
PARTS = ("recall_at_50/all", "recall_at_200/all", "recall_at_200/repeat", "recall_at_200/reachable")


def order_rows(table: Table, *path: str) -> dict[str, Any]:
    """The rows with the highest value at `path` first. Without a path: own lists, channels, then baselines."""
    if path:
        return dict(sorted(table.items(), key=lambda row: -(_find(row[1], path) or 0.0)))
    others = [name for name in table if name not in OWN_LISTS and name not in BASELINE_NAMES]
    return {name: table[name] for name in (*OWN_LISTS, *others, *BASELINE_NAMES) if name in table}


def group_names(table: Table) -> list[str]:
    """All groups that occur in a table list → group → interval, in order of appearance."""
    return list(dict.fromkeys(group for row in table.values() for group in row))


def row_class(name: str) -> str:
    """CSS class of a list: `ours` for the served and fused lists, `baseline` or `channel`."""
    return "ours" if name in OWN_LISTS else "baseline" if name in BASELINE_NAMES else "channel"


def metric_bars(table: Table, *path: str) -> list[Bar]:
    """Rows of a chart of the interval at `path` below each list of `table`, the highest first."""
    return by_value(
        [Bar(name, reduce(lambda values, key: values[key], path, row), row_class(name)) for name, row in table.items()]
    )


def list_bars(content: Content) -> list[Bar]:
    """Rows of the chart at the top: of 100 songs played next, those in the list of 30; with and without the ranker, and simple rules."""
    names = {"served": "Segue", "fused": "Segue without its ranker", **SIMPLE_RULES}
    shares = {
        name: row[GATE_METRIC]["all"] for name, row in content["slate"].items() if name in (*names, *BASELINE_NAMES)
    }
    return by_value(
        [
            Bar(names.get(name, name), [None if bound is None else 100 * bound for bound in share], row_class(name))
            for name, share in shares.items()
        ]
    )


def difference_bars(content: Content) -> dict[str, list[Bar]]:
    """Chart rows of each metric that has paired differences; discovery baselines only for reachable discoveries."""
    charted: dict[str, list[Bar]] = {}
    for metric in DIFFERENCE_METRICS:
        for pair, row in content["differences"].items():
            first, _, second = pair.partition(" - ")
            if metric in row and (second in DISCOVERY_BASELINES) == (metric == REACHABLE):
                charted.setdefault(metric, []).append(
                    Bar(f"{first} − {second}", row[metric], difference_class(row[metric], metric))
                )
    return {metric: by_value(bars) for metric, bars in charted.items()}


def ranking_values(content: Content) -> dict[str, Any]:
    """Tasks and chart rows of the chapter about rankers."""
    ranking, chosen = content["ranking"], content["chosen"]
    tasks = list(dict.fromkeys(task for row in ranking.values() for task in row))
    first = "not_skipped" if "not_skipped" in tasks else next(iter(tasks), None)
    heads = chosen.get("heads_table") or {}
    return {
        "ranking_tasks": tasks,
        "first_task": first,
        "ranking_bars": by_value(
            [
                Bar(name, row[first]["gauc"], "ours" if name == chosen["ranker"] else "channel")
                for name, row in ranking.items()
                if first in row
            ]
        ),
        "head_tasks": list(dict.fromkeys(task for row in heads.values() for task in row["wants"])),
    }


def _find(row: Any, path: tuple[str, ...]) -> float | None:
    found = reduce(lambda values, key: values.get(key, {}), path, row)
    return found[0] if found else None


@dataclass(frozen=True)
class Sweep:
    """One parameter and its candidate values.

    Attributes:
        title: Heading.
        parameter: Name of the parameter.
        note: How the value was chosen, or how to read the charts.
        table: Value as text → metric → value, or [value, low, high].
        chosen: The value in use; None if it is not known.
        metrics: Metrics with a chart; a metric that no row has is left out.
    """

    title: str
    parameter: str
    note: str
    table: Mapping[str, Mapping[str, Any]]
    chosen: float | None
    metrics: Sequence[str] = SLATE_METRICS

    @property
    def charts(self) -> dict[str, list[Bar]]:
        """Metric → one row per value, in ascending order."""
        return {metric: bars for metric in self.metrics if any(bars := self._bars(metric))}

    def _bars(self, metric: str) -> list[Bar]:
        bars = []
        for text, row in sorted(self.table.items(), key=lambda item: float(item[0])):
            found = row.get(metric)
            interval = found if isinstance(found, Sequence) else (found, None, None)
            is_chosen = self.chosen is not None and abs(float(text) - self.chosen) < 1e-9
            label = f"{self.parameter} {float(text):g}{', in use' if is_chosen else ''}"
            if interval[0] is not None:
                bars.append(Bar(label, interval, "ours" if is_chosen else "channel"))
        return bars


def recall_sweeps(content: Content) -> list[Sweep]:
    """The discovery share of the fusion, on validation and on test."""
    chosen = content["chosen"]
    share = chosen["fusion"]["shares"].get(ANY_SCENE)
    rule = (
        "On validation. The mean of the best shares of 1,000 random samples of the users is chosen; the objective is "
        "recall@50 + recall@200 of all targets + recall@200 of reachable discoveries."
    )
    curve = {
        value: {f"{metric}/{part}": interval for metric, parts in row.items() for part, interval in parts.items()}
        for value, row in content.get("share_curve", {}).items()
    }
    return _with_rows(
        Sweep(
            "Discovery share of the candidates",
            "share",
            rule,
            chosen.get("share_table") or {},
            share,
            ("best_in_samples", *PARTS),
        ),
        Sweep("The same on test, in all scenes", "share", "With 95 % intervals.", curve, share, PARTS),
    )


def slate_sweeps(content: Content) -> list[Sweep]:
    """What orders and fills the slate, on validation."""
    chosen = content["chosen"]
    blend = chosen["blend"]
    listwise = blend["heads"]["weights"].get(ANY_SCENE, {}).get(LISTWISE_HEAD, 0.0)
    with_discoveries = (*SLATE_METRICS, "reachable_recall_at_30")

    def table(name: str) -> Mapping[str, Mapping[str, Any]]:
        return chosen.get(name) or {}

    return _with_rows(
        Sweep("Weight of the listwise head among the heads", "share of listened", "Each with its best ranker weight.",
              table("listened_table"), listwise),
        Sweep("Ranker weight among repeats", "weight", "The best recall@30 + NDCG@10; 0 is the fused order, 1 the ranker's.",
              table("blend_table"), blend["weight"]),
        Sweep("Ranker weight among discoveries", "weight", "The best recall@30 of reachable discoveries, if it is "
              "significantly better than 0.", table("discovery_weight_table"), blend.get("discovery_weight"), with_discoveries),
        Sweep("Discovery share of the list", "share", "The largest share that costs hardly any recall@30.",
              table("visible_share_table"), blend.get("discovery_shares", {}).get(ANY_SCENE), with_discoveries),
        Sweep("Diversity strength", "strength", "The largest strength up to which no metric drops. Diversity is 1 − the mean "
              "facet similarity of two tracks of a list.", table("diversity_table"), blend["diversity"],
              (*SLATE_METRICS, "diversity")),
    )  # fmt: skip


def _with_rows(*sweeps: Sweep) -> list[Sweep]:
    return [sweep for sweep in sweeps if len(sweep.table) > 1 and sweep.charts]
