"""Helpers of the report's templates: row order, classes, number formats and prepared chart rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from training.evaluation.baselines.heuristics import HEURISTIC_BASELINES
from training.evaluation.baselines.tuned import BASELINES
from training.evaluation.metrics.bootstrap import MIN_BOOTSTRAP_USERS
from training.evaluation.report.charts import Bar

BASELINE_NAMES = (*BASELINES, *HEURISTIC_BASELINES)
REACHABLE = "recall_at_200/reachable"

Content = dict[str, Any]


def order_rows(table: Content) -> Content:
    """The rows in display order: served and fused lists, channels, then baselines in their own order."""
    first = ["served", "fused", "ranker"]
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
