"""Verdicts of the evaluation report: the baseline of the release gate, and classes of differences.

Imports no model, because the console reads it for each page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from web import is_lower_better

OWN_LISTS = ("served", "served_uncapped", "served_unspaced", "served_without_reactions", "fused", "ranker")
"""Lists of the slate that are not heuristic baselines."""
GATE_METRIC = "recall_at_30"  # of the slate, all targets
REACHABLE = "recall_at_200/reachable"
SIMPLE_RULES = {
    "popularity": "the songs that all listeners play most",
    "tifu_knn": "the songs that the listener and similar listeners play in most sessions",
    "tuned_base_level_activation": "the songs that the listener played most often and most recently",
}
"""Heuristic baseline → what it recommends."""

Content = Mapping[str, Any]
Interval = Sequence[float | None]


def difference_class(interval: Interval | None, metric: str = "") -> str:
    """CSS class of a difference: gain or loss if its interval excludes zero, by the better direction of the metric."""
    value, low, high = interval or (None, None, None)
    if low is None or high is None or low <= 0 <= high:
        return "unclear"
    return "gain" if ((value or 0) > 0) != is_lower_better(metric) else "loss"


def gate_baseline(content: Content) -> str:
    """The heuristic baseline that the release gate compares the slate with: the best by recall@30 of the slate."""
    table = content["slate"]
    names = [name for name in table if name not in OWN_LISTS]
    return max(names, key=lambda name: table[name][GATE_METRIC]["all"][0] or 0.0, default="")
