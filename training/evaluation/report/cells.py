"""What every part of the evaluation's page is made of: cells, tables of choices, and the order and kind of what is compared.

Knows nothing about what the parts are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from training.evaluation.baselines.heuristics import HEURISTIC_BASELINES
from training.evaluation.baselines.tuned import BASELINES
from training.evaluation.metrics.bootstrap import MIN_BOOTSTRAP_USERS

BASELINE_NAMES = (*BASELINES, *HEURISTIC_BASELINES)
REACHABLE = "recall_at_200/reachable"

Content = dict[str, Any]


def order_rows(table: Content) -> Content:
    """What is served first, then the channels, then baselines and memories in their own order."""
    first = ["served", "fused", "ranker"]
    others = [name for name in table if name not in first and name not in BASELINE_NAMES]
    return {name: table[name] for name in (*first, *others, *BASELINE_NAMES) if name in table}


def row_class(name: str) -> str:
    """How a name is drawn: what is served, a memory or baseline, or a channel."""
    return "chosen" if name in ("fused", "served") else "memory" if name in BASELINE_NAMES else "channel"


def interval_cell(interval: Iterable[float | None] | None, digits: int = 3) -> str:
    """A value with its interval, [value, low, high]; alone where there is none."""
    value, low, high = interval or (None, None, None)
    if value is None:
        return "–"
    if low is None:
        return f"{value:.{digits}f}"
    to = " to " if low < 0 else "–"  # a dash before a minus is read as two
    return f"{value:.{digits}f}<small>{low:.{digits}f}{to}{high:.{digits}f}</small>"


def is_significant(interval: Sequence[float | None]) -> bool:
    """Whether the interval, [value, low, high], leaves out zero."""
    return interval[1] is not None and interval[2] is not None and (interval[1] > 0 or interval[2] < 0)


def has_few_users(content: Content) -> bool:
    """Whether there are so few users that intervals draw their sessions."""
    return bool(content["cases"]["test_users"] < MIN_BOOTSTRAP_USERS)


def format_value(value: float | None) -> str:
    """A value, or nothing."""
    return "" if value is None else f"{value:.4f}"


def choice_table(
    title: str,
    of: str,
    table: dict[str, dict[str, float | None]] | None,
    metrics: tuple[str, ...] = ("recall_at_30", "ndcg_at_10"),
) -> str:
    """What each value that could have been chosen gives; nothing without a table."""
    rows = "".join(
        f"<tr><td>{value}</td>" + "".join(f"<td>{format_value(one[metric])}</td>" for metric in metrics) + "</tr>"
        for value, one in (table or {}).items()
    )
    header = f"<tr><th>{of}</th>" + "".join(f"<th>{name.replace('_at_', '@')}</th>" for name in metrics) + "</tr>"
    return f"<h3>{title}</h3><table>{header}{rows}</table>" if rows else ""


def group_table(content: Content) -> str:
    """A row a list, a column a group."""
    table = order_rows(content)
    groups = list(dict.fromkeys(group for one in table.values() for group in one))
    header = "".join(f"<th>{escape(group)}</th>" for group in groups)
    rows = "".join(
        f"<tr class={row_class(name)}><th>{escape(name)}</th>"
        + "".join(f"<td>{interval_cell(one.get(group))}</td>" for group in groups)
        + "</tr>"
        for name, one in table.items()
    )
    return f"<table><tr><th></th>{header}</tr>{rows}</table>"
