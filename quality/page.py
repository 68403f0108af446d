"""The outcome of a validation as one page that needs nothing from elsewhere; Great Expectations' own pages fetch their
looks and their tables' code from the network.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from quality.validation import Outcome

STYLE = """
body{font:16px/1.5 system-ui;max-width:60rem;margin:3rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid #ddd}
.failed{color:#b00020;font-weight:600}
.ok{color:#1b6e2e}
"""


def page(stage: str, as_of: str, outcomes: Sequence[Outcome], error: str | None = None) -> str:
    """One row a suite: how many expectations, which failed, what could not be judged; `error` where a table was missing."""
    failures = sum(len(outcome.failed) for outcome in outcomes)
    rows = "".join(_row(outcome) for outcome in outcomes)
    verdict = error or f"{failures} failed expectations in {len(outcomes)} suites"
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Validation of {stage}</title>"
        f"<style>{STYLE}</style><h1>Validation of {stage}, as of {as_of}</h1>"
        f"<p class='{'failed' if failures or error else 'ok'}'>{html.escape(verdict)}</p>"
        f"<table><tr><th>Suite<th>Outcome<th>Expectations<th>Failed, and what could not be judged</tr>{rows}</table>"
        "<p><a href='index.html'>Every expectation and its result</a>, in Great Expectations' own pages.</p></html>"
    )


def write(site: Path, text: str) -> Path:
    """Puts the page beside Great Expectations' pages."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "outcome.html").write_text(text)
    return site / "outcome.html"


def _row(outcome: Outcome) -> str:
    lines = [f"<div class='failed'>{html.escape(line)}</div>" for line in outcome.failed]
    lines += [f"<div>{html.escape(note)}</div>" for note in outcome.notes]
    state = "failed" if outcome.failed else "ok"
    name = html.escape(outcome.suite)
    return f"<tr><td>{name}<td class='{state}'>{state}<td>{outcome.expectations}<td>{''.join(lines)}</tr>"
