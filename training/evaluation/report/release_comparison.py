"""Comparison of two releases by their manifests: metrics on held-out listening, and what was chosen.

Imports no model, because the console reads it for each page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.report.charts import format_interval, more_of_100
from training.evaluation.report.verdicts import difference_class
from web import format_metric_name, is_lower_better

LIST_METRICS = (("served", "recall_at_30", "all"), ("served", "recall_at_30", "repeat"),
                ("served", "recall_at_30", "reachable"), ("served", "ndcg_at_10", "all"))  # fmt: skip
CANDIDATE_METRICS = (("fused", "recall_at_50", "all"), ("fused", "recall_at_200", "all"),
                     ("fused", "recall_at_200", "repeat"), ("fused", "recall_at_200", "reachable"))  # fmt: skip
RANKING_METRICS = ("gauc", "logloss")

Manifest = Mapping[str, Any]
Interval = Sequence[float | None]


@dataclass(frozen=True)
class MetricChange:
    """One metric of both releases.

    Attributes:
        name: What is measured, and the metric.
        this, other: [value, low, high]; None if a release does not have it.
        difference: This minus the other; with bounds if it is paired over users.
        kind: CSS class: gain, loss or unclear. A difference that is not paired counts if both intervals are apart.
    """

    name: str
    this: Interval | None
    other: Interval | None
    difference: Interval | None
    kind: str

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Value and interval of the difference, of this and of the other, as text."""
        shown = ((self.difference, True), (self.this, False), (self.other, False))
        texts = [format_interval(interval or (None, None, None), signed) for interval, signed in shown]
        return [(value, bounds) for value, _, bounds in (text.partition(" ") for text in texts)]


def compare_metrics(this: Manifest, other: Manifest) -> list[MetricChange]:
    """Metrics of two manifests side by side; recall@30 of the served list paired, if the gate of one compared it with the other."""
    rows = []
    for table, metrics in (("slate", LIST_METRICS), ("recall", CANDIDATE_METRICS)):
        for name, metric, part in metrics:
            both = [_find(manifest, table, name, metric, part) for manifest in (this, other)]
            rows.append(
                _change(f"{name} list" if name == "served" else f"{name} candidates", f"{metric}/{part}", *both)
            )
    paired = _paired(this, other)
    if paired and rows[0].this and rows[0].other:
        first = rows[0]
        rows[0] = MetricChange(f"{first.name}, paired", first.this, first.other, paired, difference_class(paired))
    for task in this.get("metrics", {}).get("ranking", {}).get(str(this.get("ranker")), {}):
        for metric in RANKING_METRICS:
            both = [_find(manifest, "ranking", str(manifest.get("ranker")), task, metric) for manifest in (this, other)]
            rows.append(_change("ranker", f"{task}/{metric}", *both))
    return [row for row in rows if row.this or row.other]


def compare_choices(this: Manifest, other: Manifest) -> list[tuple[str, str, str, bool]]:
    """What was chosen or read, in this release and in the other, and whether it differs; without what one does not say."""
    both = [(name, read(this), read(other)) for name, read in CHOICES.items()]
    return [(name, first, second, first != second) for name, first, second in both if first and second]


def describe_changes(this: Manifest, other: Manifest) -> list[str]:
    """What is different with `this` release instead of `other`, one sentence each; the lists first, then what was chosen.

    Differences of metrics that are neither paired nor clear are left out.
    """
    changes = {row.name.removesuffix(", paired"): row for row in compare_metrics(this, other)}
    found = [
        f"Of 100 {what}, {more_of_100(row.difference, row.kind)} are {where}."
        for name, (what, where) in EFFECTS.items()
        if (row := changes.get(name)) and row.difference and (row.kind != "unclear" or row.difference[1] is not None)
    ]
    differing = [(name, one, two) for name, one, two, differs in compare_choices(this, other) if differs]
    return found + [
        f"{name[0].upper()}{name[1:]}: {one} instead of {two}." for name, one, two in differing if name in TOLD_CHOICES
    ]


def _paired(this: Manifest, other: Manifest) -> Interval | None:
    """The difference that the gate of the newer of both measured; None if it compared others."""
    for newer, older in ((this, other), (other, this)):
        gate = newer.get("gate") or {}
        figure = gate.get("figures", {}).get("slate - production")
        if figure and gate.get("compared_with") == older.get("release"):
            value, low, high = figure
            return figure if newer is this else [-value, -high, -low]
    return None


def _weights(manifest: Manifest, kind: str) -> str:
    weights = manifest.get("fusion", {}).get(kind, {}).get("weights", {})
    return ", ".join(f"{name} {weight:g}" for name, weight in sorted(weights.items()) if weight)


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{scene or 'all scenes'} {share:g}" for scene, share in sorted(shares.items()))


CHOICES: dict[str, Callable[[Manifest], str]] = {
    "as of": lambda manifest: str(manifest.get("as_of", "")),
    "recipe": lambda manifest: str(manifest.get("recipe", "")),
    "channels": lambda manifest: ", ".join(sorted(manifest.get("channels", []))),
    "ranker": lambda manifest: str(manifest.get("ranker") or "none"),
    "ranker weight among repeats": lambda manifest: f"{manifest.get('blend', {}).get('weight', 0):g}",
    "ranker weight among discoveries": lambda manifest: f"{manifest.get('blend', {}).get('discovery_weight', 0):g}",
    "discovery share of the list": lambda manifest: _shares(manifest.get("blend", {}).get("discovery_shares", {})),
    "discovery share of the candidates": lambda manifest: _shares(manifest.get("fusion", {}).get("shares", {})),
    "diversity strength": lambda manifest: f"{manifest.get('blend', {}).get('diversity', 0):g}",
    "channel weights, repeats": lambda manifest: _weights(manifest, "repeats"),
    "channel weights, discoveries": lambda manifest: _weights(manifest, "discoveries"),
    "code": lambda manifest: str(manifest.get("revision", ""))[:12],
}
"""Name → text from a manifest."""
TOLD_CHOICES = ("as of", "recipe", "channels", "ranker", "discovery share of the list")
EFFECTS = {
    "served list: recall@30": ("songs that listeners play next", "in the list of 30"),
    "served list: recall@30, reachable discoveries": (
        "songs played next that are new to the listener",
        "in the list of 30",
    ),
    "fused candidates: recall@200": ("songs that listeners play next", "among the 200 candidates"),
}
"""Name of a metric → what is counted, and where."""


def _find(manifest: Manifest, *path: str) -> Interval | None:
    found: Any = manifest.get("metrics", {})
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if found and found[0] is not None else None


def _change(what: str, metric: str, this: Interval | None, other: Interval | None) -> MetricChange:
    name = f"{what}: {format_metric_name(metric)}"
    if this is None or other is None or this[0] is None or other[0] is None:
        return MetricChange(name, this, other, None, "unclear")
    is_higher, is_lower = _above(this, other), _above(other, this)
    kind = "unclear"
    if is_higher or is_lower:
        kind = "gain" if is_higher != is_lower_better(metric) else "loss"
    return MetricChange(name, this, other, (this[0] - other[0], None, None), kind)


def _above(first: Interval, second: Interval) -> bool:
    """Whether the first interval is above the second."""
    return first[1] is not None and second[2] is not None and first[1] > second[2]
