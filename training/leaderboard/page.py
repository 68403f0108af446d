"""The leaderboard as one page, in Markdown and in HTML.

A value is the mean over seeds with the 95 % interval over users; `±` is the standard deviation over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.ablations.table import average_over_seeds
from training.evaluation.metrics.bootstrap import Estimate
from web import create_environment

TEMPLATES = Path(__file__).parent / "templates"
TITLE = "Leaderboard"
INTRODUCTION = (
    "Mean over seeds with 95 % bootstrap interval over users; ± is the standard deviation over seeds. Rows are ordered by "
    "the first metric. The difference to the best baseline by that metric is paired over users. Repeats are items of the "
    "user's history, discoveries all others; a dash: no such target, or not measured."
)
ABSENT = "–"


@dataclass(frozen=True)
class Row:
    """A model or baseline."""

    name: str
    is_baseline: bool
    runs: Sequence[Mapping[str, Estimate]]  # metrics of each seed, by `metric/part`
    seconds: float  # of the first seed, of all rows of its cell together


@dataclass(frozen=True)
class Section:
    """A data set: its rows, or why it was not measured."""

    title: str
    protocol: str
    main_metric: str
    rows: Sequence[Row] = ()
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: str = ""

    @property
    def header(self) -> list[str]:
        """Column titles."""
        metrics = [_metric_title(metric) for metric in self._metrics]
        return ["", "kind", *metrics, "difference to the best baseline", "seeds", "s"]

    @property
    def cells(self) -> list[list[str]]:
        """Text of all rows, best first, then published values."""
        means = {row.name: average_over_seeds(row.runs) for row in self.rows}
        baselines = [row.name for row in self.rows if row.is_baseline]
        best = max(baselines, key=lambda name: self._main_value(means[name]), default=None)
        table = []
        for row in sorted(self.rows, key=lambda row: -self._main_value(means[row.name])):
            values = [_format_value(metric, means[row.name], row.runs) for metric in self._metrics]
            difference = ABSENT if best in (None, row.name) else self._difference(means[row.name], means[str(best)])
            kind = "baseline" if row.is_baseline else "model"
            table.append([row.name, kind, *values, difference, str(len(row.runs)), f"{row.seconds:.0f}"])
        for name, values_of in self.published.items():
            values = [_format_published(metric, values_of) for metric in self._metrics]
            table.append([name, "published", *values, ABSENT, ABSENT, ABSENT])
        return table

    @property
    def _metrics(self) -> list[str]:
        """All metrics, that of the order first."""
        metrics = dict.fromkeys(metric for row in self.rows for run in row.runs for metric in run)
        return sorted(metrics, key=lambda metric: metric != self.main_metric)

    def _main_value(self, means: Mapping[str, Estimate]) -> float:
        return float(np.nan_to_num(means[self.main_metric].value)) if self.main_metric in means else 0.0

    def _difference(self, first: Mapping[str, Estimate], second: Mapping[str, Estimate]) -> str:
        difference = first[self.main_metric] - second[self.main_metric]
        return _format_interval(difference, "+")


def render_markdown(sections: Sequence[Section], heading: str) -> str:
    """The page as Markdown; `heading` names command and settings."""
    lines = [f"# {TITLE}", "", heading, "", INTRODUCTION]
    for section in sections:
        lines += ["", f"## {section.title}", "", section.protocol, ""]
        if section.missing:
            lines.append(f"Not measured: {section.missing}.")
            continue
        rows = [section.header, ["---"] * len(section.header), *section.cells]
        lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines) + "\n"


def render_html(sections: Sequence[Section], heading: str) -> str:
    """The page as one HTML file without external resources."""
    template = create_environment(TEMPLATES).get_template("leaderboard.html")
    return template.render(title=TITLE, introduction=INTRODUCTION, heading=heading, sections=sections)


def _metric_title(metric: str) -> str:
    name, _, part = metric.partition("/")
    title = name.replace("_at_", "@")
    return title if part == "all" else f"{title} {part}"


def _format_value(metric: str, means: Mapping[str, Estimate], runs: Sequence[Mapping[str, Estimate]]) -> str:
    if metric not in means or np.isnan(means[metric].value):
        return ABSENT
    text = _format_interval(means[metric])
    if len(runs) < 2:
        return text
    return f"{text} ± {np.std([run[metric].value for run in runs], ddof=1):.4f}"


def _format_interval(estimate: Estimate, sign: str = "") -> str:
    value, low, high = estimate.interval()
    return f"{value:{sign}.4f} [{low:{sign}.4f}, {high:{sign}.4f}]"


def _format_published(metric: str, values: Mapping[str, float]) -> str:
    name, _, part = metric.partition("/")
    return f"{values[name]:.4f}" if part == "all" and name in values else ABSENT
