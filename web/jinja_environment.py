"""Jinja2 environment of the HTML pages: autoescape, the shared templates and a few number and date filters."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from web.metric_names import format_metric_name
from web.time_format import format_utc_minute

SHARED_TEMPLATES = Path(__file__).parent / "templates"


def create_environment(*templates: Path) -> Environment:
    """Environment that finds templates in the folders `templates` first, in their order, and in the shared folder last.

    All values are escaped; an undefined variable is an error. A page starts with `{% extends "base.html" %}` and fills
    the blocks `title`, `style` (optional) and `main`. `macros.html` has the shared elements: tables, definition lists.

    Args:
        templates: Folders of the calling package, usually one: `Path(__file__).parent / "templates"`.
    """
    environment = Environment(
        loader=FileSystemLoader([*templates, SHARED_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["utc_minute"] = format_utc_minute
    environment.filters["metric_name"] = format_metric_name
    return environment
