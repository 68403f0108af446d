"""The outcome of a validation as one page that needs nothing from elsewhere, and as JSON beside it; Great Expectations' own
pages fetch their looks and their tables' code from the network, and are empty without it.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from quality.validation import MeasuredMetric, SuiteResult

STYLE = """
:root{color-scheme:light dark;--line:light-dark(#ddd,#34363d);--bad:light-dark(#b00020,#ff9aa2);--good:light-dark(#1b6e2e,#7bc98a)}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
background:light-dark(#fff,#15161a);color:light-dark(#1c1b1a,#ececea)}
a{color:light-dark(#b3261e,#ff8a80)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line)}
.failed{color:var(--bad);font-weight:600}
.ok{color:var(--good)}
summary{cursor:pointer}
ul{margin:.3rem 0;padding-left:1.1rem;font-size:.85rem;overflow-wrap:anywhere}
"""


def render_page(stage: str, as_of: str, outcomes: Sequence[SuiteResult], error: str | None = None) -> str:
    """One row a suite: its expectations, which failed, what could not be judged; `error` where a table was missing. Then
    the facts that were measured, with what they may be.
    """
    failures = sum(len(outcome.failed) for outcome in outcomes)
    rows = "".join(_row(outcome) for outcome in outcomes)
    facts = "".join(
        _metric_row(one.suite, name, fact)
        for one in outcomes
        for name, fact in one.measured.items()
        if fact.least != fact.most  # what may be one value only is said where it is not
    )
    verdict = error or f"{failures} failed expectations in {len(outcomes)} suites"
    measured = (
        "<h2 id='measured'>Measured over whole tables</h2><div class='wide' tabindex='0'><table>"
        f"<tr><th>Suite<th>Fact<th>Value<th>May be</tr>{facts}</table></div>"
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Validation of {stage}</title>"
        f"<style>{STYLE}</style><main><h1>Validation of {stage}, as of {as_of}</h1>"
        f"<p class='{'failed' if failures or error else 'ok'}'>{html.escape(verdict)}</p>"
        "<div class='wide' tabindex='0'><table><tr><th>Suite<th>Outcome<th>Expectations"
        f"<th>Failed, and what could not be judged</tr>{rows}</table></div>{measured if facts else ''}"
        "<p><a href='index.html'>Great Expectations' own pages</a> have the rows behind each result; they need the internet, from which "
        "they fetch how they look.</p></main></html>"
    )


def render_json(stage: str, as_of: str, outcomes: Sequence[SuiteResult], error: str | None = None) -> str:
    """The same as JSON."""
    return json.dumps(
        {"stage": stage, "as_of": as_of, "error": error, "suites": [asdict(one) for one in outcomes]}, indent=1
    )


def write(site: Path, text: str, data: str) -> Path:
    """Puts the page and its JSON beside Great Expectations' pages."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "outcome.json").write_text(data + "\n")
    (site / "outcome.html").write_text(text)
    return site / "outcome.html"


def _row(outcome: SuiteResult) -> str:
    lines = [f"<div class='failed'>{html.escape(line)}</div>" for line in outcome.failed]
    lines += [f"<div>{html.escape(note)}</div>" for note in outcome.notes]
    state = "failed" if outcome.failed else "ok"
    name = html.escape(outcome.suite)
    return f"<tr><td>{name}<td class='{state}'>{state}<td>{_expectations(outcome)}<td>{''.join(lines)}</tr>"


def _expectations(outcome: SuiteResult) -> str:
    held = "".join(f"<li>{html.escape(line)}</li>" for line in outcome.held)
    return f"<details><summary>{outcome.expectations}</summary>these held:<ul>{held}</ul></details>"


def _metric_row(suite: str, name: str, fact: MeasuredMetric) -> str:
    value = "not known" if fact.value is None else f"{fact.value:.4g}"
    return f"<tr><td>{html.escape(suite)}<td>{html.escape(name.replace('_', ' '))}<td>{value}<td>{_limits(fact)}</tr>"


def _limits(fact: MeasuredMetric) -> str:
    if fact.least is None or fact.most is None:
        return f"at most {fact.most:g}" if fact.most is not None else f"at least {fact.least:g}"
    return f"{fact.least:g} to {fact.most:g}"
