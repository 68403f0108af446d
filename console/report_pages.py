"""Pages of the reports that are JSON or Markdown files: benchmark, training/serving skew, ablations."""

from __future__ import annotations

import json
import re
from typing import Any

from jinja2 import UndefinedError

from config.settings import Settings
from console.reports import REPORTS
from console.templates import render

HEADING, CODE = re.compile(r"(#+) (.*)"), re.compile(r"`([^`]+)`")
Spans = list[tuple[str, bool]]  # text, whether it is code


def render_report(name: str, settings: Settings) -> str | None:
    """Page of `benchmark`, `skew` or `ablation_<name>`; None if the report does not exist or is incomplete."""
    if not re.fullmatch("ablation_[a-z0-9_]+|benchmark|skew", name):
        return None
    file = settings.reports / f"{name}{'.md' if name.startswith('ablation_') else '.json'}"
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".md":
            return render("markdown.html", title=name.replace("_", " "), blocks=parse_markdown(text))
        content = json.loads(text)
        return _render_benchmark(content) if name == "benchmark" else _render_skew(content)
    except (OSError, ValueError, KeyError, TypeError, UndefinedError):
        return None


def render_missing_report(path: str, settings: Settings) -> str | None:
    """Page that names the command that generates a missing report; None if `path` is not that of a missing report."""
    for report in REPORTS:
        if report.url_path.partition("#")[0] == path and not report.exists(settings):
            return render("missing_report.html", report=report)
    return None


def _render_benchmark(content: dict[str, Any]) -> str:
    return render("benchmark.html", **{key: content[key] for key in ("machine", "revision", "results")})


def _render_skew(content: dict[str, Any]) -> str:
    kinds = ("requests", "compared", "values", "unequal", "late", "early", "stale", "restated", "pending", "unread")
    if not content["requests"]:
        return render("skew.html", as_of=content["as_of"], requests=0)
    return render(
        "skew.html",
        as_of=content["as_of"],
        requests=content["requests"],
        unequal=content["unequal"],
        values=content["values"],
        skew_rate=content["skew_rate"],
        counts=[(kind, f"{content[kind]:,}") for kind in kinds if kind in content],
        by_feature=[(name, f"{count:,}") for name, count in content["by_feature"].items()],
        examples=[json.dumps(example, indent=1) for example in content["examples"][:5]],
    )


def parse_markdown(text: str) -> list[dict[str, Any]]:
    """Blocks of the Markdown subset that ablation reports use: headings, one-line paragraphs, tables.

    Returns:
        Dictionaries with `kind` ("h1" to "h3", "p" or "table"), and `spans` or, for tables, `header` and `rows`.
    """
    blocks: list[dict[str, Any]] = []
    table: list[list[Spans]] = []

    def end_table() -> None:
        if table:
            blocks.append({"kind": "table", "header": table[0], "rows": table[1:]})
        table.clear()

    for line in text.splitlines():
        if line.startswith("|"):
            if not set(line) <= set("|- :"):
                table.append([_parse_spans(cell.strip()) for cell in line.strip().strip("|").split("|")])
            continue
        end_table()
        if heading := HEADING.fullmatch(line):
            blocks.append({"kind": f"h{min(len(heading[1]), 3)}", "spans": _parse_spans(heading[2])})
        elif line.strip():
            blocks.append({"kind": "p", "spans": _parse_spans(line)})
    end_table()
    return blocks


def _parse_spans(text: str) -> Spans:
    return [(part, position % 2 == 1) for position, part in enumerate(CODE.split(text)) if part]
