"""Shared template environment: escaping, undefined variables, the base template and the filters."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from web import create_environment


def render(templates: Path, text: str, **context: object) -> str:
    (templates / "page.html").write_text(text)
    return create_environment(templates).get_template("page.html").render(**context)


def test_values_are_escaped_and_undefined_variables_are_errors(tmp_path: Path) -> None:
    assert render(tmp_path, "<b>{{ name }}</b>", name="<script>") == "<b>&lt;script&gt;</b>"
    with pytest.raises(UndefinedError, match="name"):
        render(tmp_path, "{{ name }}")


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [("2026-07-01T12:30:59Z", "2026-07-01 12:30 UTC"), ("2026-07-01", "2026-07-01"), ("", "")],
)
def test_timestamps_are_shown_to_the_minute(tmp_path: Path, timestamp: str, expected: str) -> None:
    assert render(tmp_path, "{{ timestamp | utc_minute }}", timestamp=timestamp) == expected
