"""The evaluation report as one HTML file without external resources, rendered from the content of `evaluation.json`."""

from __future__ import annotations

from typing import Any

from training.evaluation.baselines.tuned import BASELINES
from training.evaluation.report import cells, charts
from training.evaluation.report.cells import REACHABLE, Content, difference_class
from training.evaluation.report.charts import Bar
from web import create_environment

# Over all targets, differences to these baselines are large and significant; in a chart they would dwarf the others.
DISCOVERY_BASELINES = ("own_artists_unheard", "popularity", *BASELINES)
DIFFERENCE_METRICS = ("recall_at_50", "recall_at_200", REACHABLE, "recall_at_30", "ndcg_at_10", "gauc", "auc")
SPLITS = {
    "user_time": "per-user time split: the first 80 % of a user's plays train, the next 10 % validate, the last 10 % test. "
    "Parameters may use later dates of other users; every feature has its value from before the request",
    "global_time": "global time split: the first 80 % of the plays train, the next 10 % validate, the last 10 % test",
}


def render_page(content: Content) -> str:
    """The whole report.

    Args:
        content: `evaluation.json` as a dictionary.
    """
    environment = create_environment(charts.TEMPLATES)
    environment.filters |= {
        "decimal": cells.format_decimal,
        "group_names": cells.group_names,
        "order_rows": cells.order_rows,
        "row_class": cells.row_class,
        "signed_interval": lambda interval: charts.format_interval(interval, signed=True),
        "weights": cells.format_weights,
    }
    values = {
        "content": content,
        "few_users": cells.has_few_users(content),
        "interval_chart": charts.interval_chart,
        "metric_bars": cells.metric_bars,
        "split": str(SPLITS.get(content["split"], content["split"])),
        "exposure_rows": list(cells.order_rows(content["exposure"]["recall"] | content["exposure"]["slate"])),
        "difference_bars": _difference_bars(content),
        "calibration_charts": _calibration_charts(content),
    }
    return environment.get_template("evaluation.html").render(values | _leads(content) | _ranking_values(content))


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
