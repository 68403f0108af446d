"""Write requests and responses of `docs/api.md` from the OpenAPI document: `python docs/api_page.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "api.md"
DOCUMENT = Path(__file__).parents[1] / "clients" / "openapi.json"
HEADING = "## Endpoints\n"
MAX_ITEMS = 1
"""Elements of a list that an example shows."""
WIDTH = 110
"""Longest JSON value on one line."""
COMMON = {"200", "400", "401", "403", "408", "413", "415", "429", "503"}
"""Status codes that the page explains once."""


def render_page(page: str) -> str:
    """The page with the present endpoints at its end."""
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    return page.split(HEADING, maxsplit=1)[0] + HEADING + "".join(_endpoints(paths))


def _endpoints(paths: dict[str, Any]) -> Iterator[str]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            answer = operation["responses"]["200"]["content"]
            request = _example(operation.get("requestBody", {}).get("content", {}))
            response = _example(answer)
            yield f"\n### {method.upper()} {path}\n\n{operation['summary']}."
            others = [status for status in operation["responses"] if status not in COMMON]
            yield f" Also answers {', '.join(others)}.\n" if others else "\n"
            if response is None:
                yield f"Content: {', '.join(f'`{kind}`' for kind in answer)}.\n"
            for name, value in (("request", request), ("response", response)):
                if value is not None:
                    yield f'\n```json title="{name}"\n{_format(_shorten(value), "")}\n```\n'


def _example(content: dict[str, Any]) -> Any:
    """The first JSON example; None without one."""
    examples = content.get("application/json", {}).get("examples", {})
    return next((one["value"] for one in examples.values()), None)


def _shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shorten(one) for name, one in value.items()}
    return [_shorten(one) for one in value[:MAX_ITEMS]] if isinstance(value, list) else value


def _format(value: Any, indent: str) -> str:
    """JSON with every value on one line that is short enough."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) <= WIDTH or not value:
        return line
    deeper = indent + " "
    if isinstance(value, list):
        return "[" + f",\n{deeper}".join(_format(one, deeper) for one in value) + "]"
    parts = (f'"{name}": {_format(one, deeper)}' for name, one in value.items())
    return "{" + f",\n{deeper}".join(parts) + "}"


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
