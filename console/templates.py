"""Rendering of the console's pages from the templates in `console/templates`, with those of reports behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.evaluation.report import charts
from web import create_environment

_ENVIRONMENT = create_environment(Path(__file__).parent / "templates", charts.TEMPLATES)


def render(template: str, **context: Any) -> str:
    """HTML page of a template; all values are escaped."""
    return _ENVIRONMENT.get_template(template).render(**context)
