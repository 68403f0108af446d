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
            yield f" Answers {', '.join(operation['responses'])}.\n"
            if response is None:
                yield f"Content: {', '.join(f'`{kind}`' for kind in answer)}.\n"
            for name, value in (("request", request), ("response", response)):
                if value is not None:
                    yield f'\n```json title="{name}"\n{json.dumps(_shorten(value), ensure_ascii=False, indent=1)}\n```\n'


def _example(content: dict[str, Any]) -> Any:
    """The first JSON example; None without one."""
    examples = content.get("application/json", {}).get("examples", {})
    return next((one["value"] for one in examples.values()), None)


def _shorten(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shorten(one) for name, one in value.items()}
    return [_shorten(one) for one in value[:MAX_ITEMS]] if isinstance(value, list) else value


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
