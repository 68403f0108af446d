"""The report of an experiment: one HTML file without external resources, or lines for a log, from the JSON of
`compare`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.evaluation.report import charts
from training.evaluation.report.charts import Bar, format_interval
from training.experiments.metrics import METRICS
from web import create_environment

TEMPLATES = Path(__file__).parent / "templates"

Content = dict[str, Any]


def render_page(content: Content) -> str:
    """The whole report.

    Args:
        content: `experiment.json` as a dictionary.
    """
    environment = create_environment(TEMPLATES, charts.TEMPLATES)
    environment.filters |= {
        "signed_interval": lambda interval: format_interval(interval, signed=True),
        "verdict": _verdict,
    }
    return environment.get_template("experiment.html").render(
        content=content,
        heading=_heading(content),
        warnings=_warnings(content),
        has_failed=content["sample_ratio"] is not None and content["sample_ratio"]["holds"] is False,
        metrics=METRICS,
        interval_chart=charts.interval_chart,
        arm_bars={
            f"{name}: {metric.description}": [
                Bar(arm, row["metrics"][name], "baseline" if arm == content["baseline"] else "channel")
                for arm, row in content["arms"].items()
            ]
            for name, metric in METRICS.items()
        },
    )


def report_lines(content: Content) -> list[str]:
    """The report as a few lines of text."""
    lines = [_heading(content), *_warnings(content)]
    for name, arm in content["arms"].items():
        lines.append(f"{name}: {arm['users']:,} users, {arm['exposures']:,} exposures")
        lines += [f"  {metric}: {format_interval(interval)}" for metric, interval in arm["metrics"].items()]
    for name, differences in content["differences"].items():
        lines.append(f"{name}:")
        lines += [
            f"  {metric}: {format_interval(difference, signed=True)}, {_verdict(difference)}"
            for metric, difference in differences.items()
        ]
    return lines


def _heading(content: Content) -> str:
    name, scene = content["experiment"], content["scene"]
    title = f"Experiment {name}" if name else "Releases one after the other"
    return f"{title}, {content['since']} to {content['until']} UTC{f', scene {scene}' if scene else ''}"


def _warnings(content: Content) -> list[str]:
    """The outcome of the sample-ratio check, then everything that limits the comparison."""
    warnings = []
    if content["sample_ratio"]:
        warnings.append(content["sample_ratio"]["says"])
    else:
        warnings.append(
            "no experiment: users were not assigned at random, and every difference includes effects of time"
        )
    if content["experiment"] and content["shared_users"]:
        warnings.append(
            f"{content['shared_users']:,} users were exposed to more than one arm, which indicates an error"
        )
    pending, exposures = (sum(arm[name] for arm in content["arms"].values()) for name in ("unsettled", "exposures"))
    if pending:
        warnings.append(
            f"the outcome window of {pending:,} of {exposures:,} exposures is still open; metrics may change"
        )
    return warnings


def _verdict(difference: Sequence[float | None]) -> str:
    _, low, high = difference
    if low is None or high is None:
        return "too few users"
    return "more" if low > 0 else "less" if high < 0 else "not significant"
