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
                    yield f'\n```json title="{name}"\n{_format(value)}\n```\n'


def _example(content: dict[str, Any]) -> Any:
    """The first JSON example; None without one."""
    examples = content.get("application/json", {}).get("examples", {})
    return next((one["value"] for one in examples.values()), None)


def _format(value: Any, indent: str = "") -> str:
    """JSON with the first elements of lists, and with every value on one line that is short enough."""
    if not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    names = [f'"{name}": ' for name in value] if isinstance(value, dict) else [""] * MAX_ITEMS
    elements = value.values() if isinstance(value, dict) else value
    parts = [name + _format(one, indent + " ") for name, one in zip(names, elements, strict=False)]
    is_short = sum(map(len, parts)) <= WIDTH
    return f",{' ' if is_short else chr(10) + indent + ' '}".join(parts).join("{}" if isinstance(value, dict) else "[]")


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
