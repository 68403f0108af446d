"""Comparison of two releases by their manifests: metrics on held-out listening, and what was chosen.

Imports no model, because the console reads it for each page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.report.charts import format_interval
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


def compare_metrics(this: Manifest, other: Manifest, paired: Interval | None = None) -> list[MetricChange]:
    """Metrics of two manifests side by side.

    Args:
        this: Manifest of the newer release, with its `metrics`.
        other: Manifest of the other release.
        paired: Paired difference of recall@30 of the served list, if the gate measured it.
    """
    rows = []
    for table, metrics in (("slate", LIST_METRICS), ("recall", CANDIDATE_METRICS)):
        for name, metric, part in metrics:
            both = [_find(manifest, table, name, metric, part) for manifest in (this, other)]
            rows.append(
                _change(f"{name} list" if name == "served" else f"{name} candidates", f"{metric}/{part}", *both)
            )
    if paired is not None and rows[0].this and rows[0].other:
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
