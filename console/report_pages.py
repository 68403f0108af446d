"""Reports that are JSON or Markdown, as pages for a person: the benchmark, the skew, the studies.

Knows how those files look and nothing about how their figures are made.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

from config.settings import Settings
from console.reports import REPORTS
from console.style import INDEX_LINK, render_definition_list, render_page, render_table

HEADING, CODE = re.compile(r"(#+) (.*)"), re.compile(r"`([^`]+)`")


def render_report(name: str, settings: Settings) -> str | None:
    """The page of `benchmark`, `skew` or `study_<name>`; None where there is no such report, or not a whole one."""
    file = settings.reports / f"{name}{'.md' if name.startswith('study_') else '.json'}"
    try:
        if not re.fullmatch("study_[a-z0-9_]+|benchmark|skew", name):
            return None
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".md":
            return render_page(name.replace("_", " "), INDEX_LINK + render_markdown(text))
        body = {"benchmark": render_benchmark, "skew": render_skew}[name](json.loads(text))
        raw = f'<p><a href="/reports/{name}.json">The same as JSON</a></p>'
        return render_page(name.capitalize(), INDEX_LINK + body + raw)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def render_missing_report(path: str, settings: Settings) -> str | None:
    """The page of a report that is not made yet: what it would be, and what makes it. None for any other path."""
    for report in REPORTS:
        if report.url_path.partition("#")[0] == path and not report.exists(settings):
            how = f"<p>not made yet: <code>{escape(report.make_command)}</code></p>"
            return render_page(
                report.name, f"{INDEX_LINK}<h1>{escape(report.name)}</h1><p>{escape(report.description)}</p>{how}"
            )
    return None


def render_benchmark(content: dict[str, Any]) -> str:
    """Every figure beside its peer's or its limit."""
    rows = []
    for one in content["results"]:
        ratio = one["ratio"]
        kind = "" if ratio is None else "good" if ratio >= 1 else "bad"
        beside = "" if one["peer_value"] is None else f"{escape(str(one['peer']))} {one['peer_value']:,.4g}"
        shown = "" if ratio is None else f'<span class="{kind}">{ratio:.2f}</span>'
        rows.append([f"<code>{escape(one['name'])}</code>", f"{one['value']:,.4g}", escape(one["unit"]), beside, shown])
    heads = ["figure", "value", "unit", "peer or limit", "ratio"]
    return (
        f"<h1>Benchmark</h1><p>{escape(content['machine'])}; revision <code>{escape(content['revision'][:12])}</code>. "
        "A ratio above 1 is better than the peer, or keeps the limit.</p>" + render_table(heads, rows, (1, 4))
    )


def render_skew(content: dict[str, Any]) -> str:
    """What requests read online against what training reads."""
    heading = f"<h1>Skew, as of {escape(str(content['as_of']))}</h1>"
    if not content["requests"]:
        return heading + "<p>No request was logged on the day before: there is nothing to compare.</p>"
    kinds = ("requests", "compared", "values", "unequal", "late", "early", "stale", "restated", "pending", "unread")
    rate = content["skew_rate"]
    verdict = f"<p>{content['unequal']:,} of {content['values']:,} values differ: {rate:.4%}.</p>"
    features = [[escape(name), f"{count:,}"] for name, count in content["by_feature"].items()]
    counts = render_definition_list([(kind, f"{content[kind]:,}") for kind in kinds if kind in content])
    examples = "".join(f"<pre>{escape(json.dumps(one, indent=1))}</pre>" for one in content["examples"][:5])
    return (
        heading
        + verdict
        + counts
        + (render_table(["feature", "values that differ"], features, (1,)) if features else "")
        + (f"<details><summary>Examples</summary>{examples}</details>" if examples else "")
    )


def render_markdown(text: str) -> str:
    """Headings, paragraphs and tables: what a study's Markdown is made of."""
    parts: list[str] = []
    rows: list[list[str]] = []

    def end_table() -> None:
        if rows:
            parts.append(render_table(rows[0], rows[1:], tuple(range(2, len(rows[0])))))
            rows.clear()

    for line in text.splitlines():
        if line.startswith("|"):
            if not set(line) <= set("|- :"):
                rows.append([_inline(cell.strip()) for cell in line.strip().strip("|").split("|")])
            continue
        end_table()
        if found := HEADING.fullmatch(line):
            level = min(len(found[1]), 3)
            parts.append(f"<h{level}>{_inline(found[2])}</h{level}>")
        elif line.strip():
            parts.append(f"<p>{_inline(line)}</p>")
    end_table()
    return "".join(parts)


def _inline(text: str) -> str:
    return CODE.sub(r"<code>\1</code>", escape(text))
