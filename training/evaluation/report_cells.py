"""What every part of the evaluation's page is made of: cells, tables of choices, and the order and kind of what is compared.

Knows nothing about what the parts are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from training.evaluation.baselines import BASELINES
from training.evaluation.bootstrap import FEW_USERS
from training.evaluation.memories import MEMORIES

BESIDE = (*BASELINES, *MEMORIES)
REACHABLE = "recall_at_200/reachable"

Content = dict[str, Any]


def ordered(table: Content) -> Content:
    """What is served first, then the channels, then baselines and memories in their own order."""
    first = ["served", "fused", "ranker"]
    others = [name for name in table if name not in first and name not in BESIDE]
    return {name: table[name] for name in (*first, *others, *BESIDE) if name in table}


def kind_of(name: str) -> str:
    """How a name is drawn: what is served, a memory or baseline, or a channel."""
    return "chosen" if name in ("fused", "served") else "memory" if name in BESIDE else "channel"


def cell(interval: Iterable[float | None] | None, digits: int = 3) -> str:
    """A value with its interval, [value, low, high]; alone where there is none."""
    value, low, high = interval or (None, None, None)
    if value is None:
        return "–"
    if low is None:
        return f"{value:.{digits}f}"
    to = " to " if low < 0 else "–"  # a dash before a minus is read as two
    return f"{value:.{digits}f}<small>{low:.{digits}f}{to}{high:.{digits}f}</small>"


def is_certain(interval: Sequence[float | None]) -> bool:
    """Whether the interval, [value, low, high], leaves out zero."""
    return interval[1] is not None and interval[2] is not None and (interval[1] > 0 or interval[2] < 0)


def is_of_few(content: Content) -> bool:
    """Whether there are so few users that intervals draw their sessions."""
    return bool(content["cases"]["test_users"] < FEW_USERS)


def figure(value: float | None) -> str:
    """A value, or nothing."""
    return "" if value is None else f"{value:.4f}"


def choices(
    title: str,
    of: str,
    table: dict[str, dict[str, float | None]] | None,
    metrics: tuple[str, ...] = ("recall_at_30", "ndcg_at_10"),
) -> str:
    """What each value that could have been chosen gives; nothing without a table."""
    rows = "".join(
        f"<tr><td>{value}</td>" + "".join(f"<td>{figure(one[metric])}</td>" for metric in metrics) + "</tr>"
        for value, one in (table or {}).items()
    )
    header = f"<tr><th>{of}</th>" + "".join(f"<th>{name.replace('_at_', '@')}</th>" for name in metrics) + "</tr>"
    return f"<h3>{title}</h3><table>{header}{rows}</table>" if rows else ""


def by_group(content: Content) -> str:
    """A row a list, a column a group."""
    table = ordered(content)
    groups = list(dict.fromkeys(group for one in table.values() for group in one))
    header = "".join(f"<th>{escape(group)}</th>" for group in groups)
    rows = "".join(
        f"<tr class={kind_of(name)}><th>{escape(name)}</th>"
        + "".join(f"<td>{cell(one.get(group))}</td>" for group in groups)
        + "</tr>"
        for name, one in table.items()
    )
    return f"<table><tr><th></th>{header}</tr>{rows}</table>"
