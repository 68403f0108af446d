"""Parameters that validation chose, with the metrics of all candidate values, for charts with the chosen value marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.report.charts import Bar
from training.ranking.task_weights import LISTWISE_HEAD
from training.slate.artist_cap import MAX_NEW_TRACKS_PER_ARTIST, MAX_TRACKS_PER_ARTIST
from training.slate.fusion import ANY_SCENE

SLATE_METRICS = ("recall_at_30", "ndcg_at_10")
PARTS = ("recall_at_50/all", "recall_at_200/all", "recall_at_200/repeat", "recall_at_200/reachable")

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """One parameter and its candidate values.

    Attributes:
        title: Heading.
        parameter: Name of the parameter.
        note: How the value was chosen, or how to read the charts.
        table: Value as text → metric → value, or [value, low, high].
        chosen: The value in use; None if it is not known.
        metrics: Metrics with a chart; a metric that no row has is left out.
    """

    title: str
    parameter: str
    note: str
    table: Mapping[str, Mapping[str, Any]]
    chosen: float | None
    metrics: Sequence[str] = SLATE_METRICS

    @property
    def charts(self) -> dict[str, list[Bar]]:
        """Metric → one row per value, in ascending order."""
        return {metric: bars for metric in self.metrics if any(bars := self._bars(metric))}

    def _bars(self, metric: str) -> list[Bar]:
        bars = []
        for text, row in sorted(self.table.items(), key=lambda item: float(item[0])):
            found = row.get(metric)
            interval = found if isinstance(found, Sequence) else (found, None, None)
            is_chosen = self.chosen is not None and abs(float(text) - self.chosen) < 1e-9
            label = f"{self.parameter} {float(text):g}{', in use' if is_chosen else ''}"
            if interval[0] is not None:
                bars.append(Bar(label, interval, "ours" if is_chosen else "channel"))
        return bars


def recall_sweeps(content: Content) -> list[Sweep]:
    """The discovery share of the fusion, on validation and on test."""
    chosen = content["chosen"]
    share = chosen["fusion"]["shares"].get(ANY_SCENE)
    rule = (
        "On validation. The mean of the best shares of 1,000 random samples of the users is chosen; the objective is "
        "recall@50 + recall@200 of all targets + recall@200 of reachable discoveries."
    )
    curve = {
        value: {f"{metric}/{part}": interval for metric, parts in row.items() for part, interval in parts.items()}
        for value, row in content.get("share_curve", {}).items()
    }
    return _with_rows(
        Sweep(
            "Discovery share of the candidates",
            "share",
            rule,
            chosen.get("share_table") or {},
            share,
            ("best_in_samples", *PARTS),
        ),
        Sweep("The same on test, in all scenes", "share", "With 95 % intervals.", curve, share, PARTS),
    )


def slate_sweeps(content: Content) -> list[Sweep]:
    """What orders and fills the slate, on validation."""
    chosen = content["chosen"]
    blend = chosen["blend"]
    listwise = blend["heads"]["weights"].get(ANY_SCENE, {}).get(LISTWISE_HEAD, 0.0)
    with_discoveries = (*SLATE_METRICS, "reachable_recall_at_30")

    def table(name: str) -> Mapping[str, Mapping[str, Any]]:
        return chosen.get(name) or {}

    return _with_rows(
        Sweep("Weight of the listwise head among the heads", "share of listened", "Each with its best ranker weight.",
              table("listened_table"), listwise),
        Sweep("Ranker weight among repeats", "weight", "The best recall@30 + NDCG@10; 0 is the fused order, 1 the ranker's.",
              table("blend_table"), blend["weight"]),
        Sweep("Ranker weight among discoveries", "weight", "The best recall@30 of reachable discoveries, if it is "
              "significantly better than 0.", table("discovery_weight_table"), blend.get("discovery_weight"), with_discoveries),
        Sweep("Discovery share of the list", "share", "The largest share that costs hardly any recall@30.",
              table("visible_share_table"), blend.get("discovery_shares", {}).get(ANY_SCENE), with_discoveries),
        Sweep("Maximum of tracks per artist", "tracks", "Not chosen by these curves: a rule of the lists.",
              table("cap_table"), MAX_TRACKS_PER_ARTIST),
        Sweep("Maximum of discoveries per artist", "tracks", "0: counted together with the played tracks.",
              table("new_cap_table"), MAX_NEW_TRACKS_PER_ARTIST, with_discoveries),
        Sweep("Diversity strength", "strength", "The largest strength up to which no metric drops. Diversity is 1 − the mean "
              "facet similarity of two tracks of a list.", table("diversity_table"), blend["diversity"],
              (*SLATE_METRICS, "diversity")),
    )  # fmt: skip


def _with_rows(*sweeps: Sweep) -> list[Sweep]:
    return [sweep for sweep in sweeps if len(sweep.table) > 1 and sweep.charts]
