"""Rows of the charts and tables of the evaluation report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from training.evaluation.baselines.tuned import BASELINES, HEURISTIC_BASELINES
from training.evaluation.report.charts import Bar, by_value
from training.evaluation.report.verdicts import GATE_METRIC, OWN_LISTS, SIMPLE_RULES

BASELINE_NAMES = (*BASELINES, *HEURISTIC_BASELINES, "artist_popularity")

Content = Mapping[str, Any]
Table = Mapping[str, Any]


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


def ranking_values(content: Content) -> dict[str, Any]:
    """Tasks and chart rows of the chapter about rankers."""
    ranking, chosen = content["ranking"], content["chosen"]
    tasks = list(dict.fromkeys(task for row in ranking.values() for task in row))
    first = "not_skipped" if "not_skipped" in tasks else next(iter(tasks), None)
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
    }


def _find(row: Any, path: tuple[str, ...]) -> float | None:
    found = reduce(lambda values, key: values.get(key, {}), path, row)
    return found[0] if found else None
