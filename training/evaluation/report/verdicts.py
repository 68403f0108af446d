"""Verdicts of the evaluation report: the baseline of the release gate, and the tiles at the top.

Imports no model, because the console reads it for each page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.report.charts import format_interval
from web import format_metric_name, is_lower_better

OWN_LISTS = ("served", "served_uncapped", "served_unspaced", "served_without_reactions", "fused", "ranker")
"""Lists of the slate that are not heuristic baselines."""
GATE_METRIC = "recall_at_30"  # of the slate, all targets
REACHABLE = "recall_at_200/reachable"
WORDS = {"gain": "better than", "loss": "worse than", "unclear": "no significant difference from"}

Content = Mapping[str, Any]
Interval = Sequence[float | None]


@dataclass(frozen=True)
class Gate:
    """Decision of the release gate on an evaluation.

    Attributes:
        is_passed: Whether the gate lets the release pass.
        reasons: One line per rule.
        figures: `slate - NAME` → [difference, low, high], of the best heuristic baseline and of `production`.
        forced: Why the gate was overridden; empty if it was not.
        previous: Id of the active release at the time; empty for the first release.
    """

    is_passed: bool
    reasons: Sequence[str]
    figures: Mapping[str, Sequence[float]]
    forced: str = ""
    previous: str = ""


@dataclass(frozen=True)
class Tile:
    """One verdict: `text` is large, `detail` below it; `kind` is the CSS class gain, loss or unclear."""

    title: str
    kind: str
    text: str
    detail: str


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


def build_tiles(content: Content, gate: Gate | None) -> list[Tile]:
    """The tiles in display order."""
    differences, baseline = content["differences"], gate_baseline(content)
    memory, discoverer = content["best_memory"], content["best_discoverer"]
    compared = {
        "Served list": (f"served - {baseline}", GATE_METRIC, f"the gate's baseline ({baseline})"),
        "Candidates": (f"fused - {memory}", "recall_at_200", f"the best heuristic baseline ({memory})"),
        "Discoveries": (f"fused - {discoverer}", REACHABLE, f"the best baseline at it ({discoverer})"),
        "Ranking": ("served - fused", GATE_METRIC, "the fused order"),
    }
    tiles = [
        _tile(title, differences.get(pair, {}).get(metric), other, metric)
        for title, (pair, metric, other) in compared.items()
    ]
    if gate is not None and gate.previous:
        tiles.insert(
            1,
            _tile("Previous release", gate.figures.get("slate - production"), f"release {gate.previous}", GATE_METRIC),
        )
    return [_gate_tile(gate, baseline), *tiles]


def _gate_tile(gate: Gate | None, baseline: str) -> Tile:
    kind, text = "unclear", "not decided yet"
    detail = f"decides when the release is made; its baseline is {baseline}"
    if gate is not None and gate.is_passed:
        kind, text = "gain", "passed"
        detail = f"no worse than {baseline}" + (" and the active release" if gate.previous else "")
    elif gate is not None:
        failed = next((reason for reason in gate.reasons if "FAILS" in reason), "")
        kind, text = "loss", "overridden" if gate.forced else "rejected"
        detail = gate.forced or failed.replace(GATE_METRIC, format_metric_name(GATE_METRIC))
    return Tile("Release gate", kind, text, detail)


def _tile(title: str, interval: Interval | None, other: str, metric: str) -> Tile:
    name = format_metric_name(metric)
    if not interval or interval[0] is None:
        return Tile(title, "unclear", "not compared", f"{name}, against {other}")
    kind = difference_class(interval, metric)
    value, _, bounds = format_interval(interval, signed=True).partition(" ")
    return Tile(title, kind, value, f"{name}, {WORDS[kind]} {other} {bounds}".rstrip())
