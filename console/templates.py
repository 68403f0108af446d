"""Rendering of the console's pages from the templates in `console/templates`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from web import create_environment

_ENVIRONMENT = create_environment(Path(__file__).parent / "templates")


def render(template: str, **context: Any) -> str:
    """HTML page of a template; all values are escaped."""
    return _ENVIRONMENT.get_template(template).render(**context)
