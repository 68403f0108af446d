"""`adapter.dispatch` for sqlfluff, which renders models without dbt: the implementation for DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str, _package: str | None = None) -> Callable[..., Any]:
    """The macro `default__NAME` of the calling macro's file."""
    found: Callable[..., Any] = context.resolve(f"default__{name}")
    return found
