"""Writes the results of a validation as a self-contained HTML page and as JSON.

Great Expectations' own pages load style sheets and table code from the network and are empty without it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from quality.validation import MeasuredMetric, SuiteResult
from web.environment import create_environment

TEMPLATES = Path(__file__).parent / "templates"


def render_page(stage: str, as_of: str, results: Sequence[SuiteResult], error: str | None = None) -> str:
    """HTML page with one row per suite (expectations, failures, notes) and one per table metric with its limits.

    Args:
        stage: Name of the validated stage.
        as_of: First unknown day, YYYY-MM-DD.
        results: Results of the suites that were run.
        error: Message if a table was missing.
    """
    metrics = [
        (result.suite, name.replace("_", " "), _format_value(metric), _format_limits(metric))
        for result in results
        for name, metric in result.measured.items()
        if metric.minimum != metric.maximum  # a metric with a single allowed value is listed as a failure if it differs
    ]
    failures = sum(len(result.failed) for result in results)
    return (
        create_environment(TEMPLATES)
        .get_template("validation.html")
        .render(stage=stage, as_of=as_of, results=results, error=error, failures=failures, metrics=metrics)
    )


def render_json(stage: str, as_of: str, results: Sequence[SuiteResult], error: str | None = None) -> str:
    """The content of the page as JSON."""
    return json.dumps(
        {"stage": stage, "as_of": as_of, "error": error, "suites": [asdict(result) for result in results]}, indent=1
    )


def write(site: Path, page: str, data: str) -> Path:
    """Write the page and its JSON into the folder of Great Expectations' pages; return the path of the page."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "outcome.json").write_text(data + "\n")
    (site / "outcome.html").write_text(page)
    return site / "outcome.html"


def _format_value(metric: MeasuredMetric) -> str:
    return "not known" if metric.value is None else f"{metric.value:.4g}"


def _format_limits(metric: MeasuredMetric) -> str:
    if metric.minimum is None or metric.maximum is None:
        return f"at most {metric.maximum:g}" if metric.maximum is not None else f"at least {metric.minimum:g}"
    return f"{metric.minimum:g} to {metric.maximum:g}"
