"""The evaluation report as one HTML file without external resources, rendered from the content of `evaluation.json`.

It includes the filters and functions of the templates: row order, classes, number formats and chart rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from training.evaluation.baselines.heuristics import HEURISTIC_BASELINES
from training.evaluation.baselines.tuned import BASELINES
from training.evaluation.metrics.bootstrap import MIN_BOOTSTRAP_USERS
from training.evaluation.report import charts
from training.evaluation.report.charts import Bar
from web import create_environment

BASELINE_NAMES = (*BASELINES, *HEURISTIC_BASELINES, "artist_popularity")
REACHABLE = "recall_at_200/reachable"
# Over all targets, differences to these baselines are large and significant; in a chart they would dwarf the others.
DISCOVERY_BASELINES = ("own_artists_unheard", "popularity", "decay_pop", *BASELINES)
DIFFERENCE_METRICS = ("recall_at_50", "recall_at_200", REACHABLE, "recall_at_30", "ndcg_at_10", "gauc", "auc")
SPLITS = {
    "user_time": "per-user time split: the first 80 % of a user's plays train, the next 10 % validate, the last 10 % test. "
    "Parameters may use later dates of other users; every feature has its value from before the request",
    "global_time": "global time split: the first 80 % of the plays train, the next 10 % validate, the last 10 % test",
}

Content = dict[str, Any]


def render_page(content: Content) -> str:
    """The whole report.

    Args:
        content: `evaluation.json` as a dictionary.
    """
    environment = create_environment(charts.TEMPLATES)
    environment.filters |= {
        "decimal": format_decimal,
        "group_names": group_names,
        "order_rows": order_rows,
        "row_class": row_class,
        "signed_interval": lambda interval: charts.format_interval(interval, signed=True),
        "weights": format_weights,
    }
    values = {
        "content": content,
        "few_users": has_few_users(content),
        "interval_chart": charts.interval_chart,
        "metric_bars": metric_bars,
        "split": str(SPLITS.get(content["split"], content["split"])),
        "exposure_rows": list(order_rows(content["exposure"]["recall"] | content["exposure"]["slate"])),
        "difference_bars": _difference_bars(content),
        "refit_metrics": DIFFERENCE_METRICS,
        "calibration_charts": _calibration_charts(content),
    }
    return environment.get_template("evaluation.html").render(values | _leads(content) | _ranking_values(content))


def order_rows(table: Content) -> Content:
    """The rows in display order: served and fused lists, channels, then baselines in their own order."""
    first = ["served", "served_uncapped", "fused", "ranker"]
    others = [name for name in table if name not in first and name not in BASELINE_NAMES]
    return {name: table[name] for name in (*first, *others, *BASELINE_NAMES) if name in table}


def group_names(table: Content) -> list[str]:
    """All groups that occur in a table list → group → interval, in order of appearance."""
    return list(dict.fromkeys(group for row in table.values() for group in row))


def row_class(name: str) -> str:
    """CSS class of a list: `chosen` for the served and fused lists, `baseline` or `channel`."""
    return "chosen" if name in ("fused", "served") else "baseline" if name in BASELINE_NAMES else "channel"


def difference_class(interval: Sequence[float | None]) -> str:
    """CSS class of a paired difference: `chosen` if it is significant."""
    return "chosen" if is_significant(interval) else "baseline"


def is_significant(interval: Sequence[float | None]) -> bool:
    """Whether the interval [value, low, high] excludes zero."""
    return interval[1] is not None and interval[2] is not None and (interval[1] > 0 or interval[2] < 0)


def has_few_users(content: Content) -> bool:
    """Whether there are too few users to resample them, so that intervals resample their sessions."""
    return bool(content["cases"]["test_users"] < MIN_BOOTSTRAP_USERS)


def format_decimal(value: float | None, digits: int = 4, missing: str = "–") -> str:
    """A number with fixed decimal places; `missing` for None."""
    return missing if value is None else f"{value:.{digits}f}"


def format_weights(weights: dict[str, float], only_used: bool = False) -> str:
    """`name weight` pairs separated by commas, optionally without zero weights."""
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight or not only_used)


def metric_bars(table: Content, *path: str) -> list[Bar]:
    """Rows of a chart of the interval at `path` below each list of `table`."""
    return [
        Bar(name, reduce(lambda values, key: values[key], path, row), row_class(name)) for name, row in table.items()
    ]


def _leads(content: Content) -> Content:
    """Paired differences of the summary; None where they were not measured."""
    differences = content["differences"]
    return {
        "lead": differences.get(f"fused - {content['best_memory']}", {}).get("recall_at_200"),
        "discovery_lead": differences.get(f"fused - {content['best_discoverer']}", {}).get(REACHABLE),
        "ranker_gain": differences.get("served - fused", {}).get("recall_at_30"),
    }


def _ranking_values(content: Content) -> Content:
    """Tasks and chart rows of the sections about rankers."""
    ranking, slices = content["ranking"], content["ranking_slices"]
    tasks = list(dict.fromkeys(task for row in ranking.values() for task in row))
    first = "not_skipped" if "not_skipped" in tasks else next(iter(tasks), None)
    heads = content["chosen"].get("heads_table") or {}
    return {
        "ranking_tasks": tasks,
        "first_task": first,
        "ranking_bars": [
            Bar(name, row[first]["gauc"], "chosen" if name == content["chosen"]["ranker"] else "channel")
            for name, row in ranking.items()
        ],
        "head_tasks": list(dict.fromkeys(task for row in heads.values() for task in row["wants"])),
        "head_bars": [
            Bar(f"{task}: combined − own head", row["difference"], difference_class(row["difference"]))
            for task, row in content["heads"].items()
        ]
        if heads
        else [],
        "slice_bars": {
            pair: [
                Bar(name, difference, difference_class(difference))
                for name, row in slices.items()
                if (difference := row["differences"][pair]["gauc"])
            ]
            for pair in dict.fromkeys(pair for row in slices.values() for pair in row["differences"])
        },
    }


def _difference_bars(content: Content) -> dict[str, list[Bar]]:
    """Chart rows of each metric that has paired differences; discovery baselines only for reachable discoveries."""
    charted: dict[str, list[Bar]] = {}
    for metric in DIFFERENCE_METRICS:
        for pair, row in content["differences"].items():
            is_discovery = pair.partition(" - ")[2] in DISCOVERY_BASELINES
            if metric in row and is_discovery == (metric == REACHABLE):
                charted.setdefault(metric, []).append(Bar(pair, row[metric], difference_class(row[metric])))
    return charted


def _calibration_charts(content: Content) -> dict[str, Any]:
    """One chart per task with the curves of all rankers that have it."""
    calibration = content["calibration"]
    return {
        task: charts.calibration_chart({name: row[task] for name, row in calibration.items() if task in row})
        for task in dict.fromkeys(task for row in calibration.values() for task in row)
    }
