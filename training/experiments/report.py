"""An experiment as a page for a person: one HTML file, nothing loaded from anywhere, made from the JSON of `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from training.evaluation.report import charts
from training.evaluation.report.charts import Bar
from training.evaluation.report.style import STYLE
from training.experiments.metrics import METRICS

Content = dict[str, Any]


def render_page(content: Content) -> str:
    """The whole page."""
    body = "".join(section(content) for section in (_summary, _arms, _differences, _notes_section))
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Segue experiment</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n'


def report_lines(content: Content) -> list[str]:
    """The report in a few lines, for a log."""
    told = [_heading(content), *_warnings(content)]
    for name, arm in content["arms"].items():
        told.append(f"{name}: {arm['users']:,} users, {arm['exposures']:,} exposures")
        told += [f"  {metric}: {_text(found)}" for metric, found in arm["metrics"].items()]
    for name, found in content["differences"].items():
        told.append(f"{name}:")
        told += [f"  {metric}: {_text(one, signed=True)}, {_verdict(one)}" for metric, one in found.items()]
    return told


def _heading(content: Content) -> str:
    name, scene = content["experiment"], content["scene"]
    what = f"Experiment {name}" if name else "Releases one after the other"
    return f"{what}, {content['since']} to {content['until']} UTC{f', scene {scene}' if scene else ''}"


def _warnings(content: Content) -> list[str]:
    told = []
    if content["sample_ratio"]:
        told.append(content["sample_ratio"]["says"])
    else:
        told.append("no experiment: time is mixed into every difference, and nobody was assigned to anything")
    if content["experiment"] and content["shared_users"]:
        told.append(f"{content['shared_users']:,} users were shown more than one arm, which should not be")
    unsettled, shown = (sum(arm[name] for arm in content["arms"].values()) for name in ("unsettled", "exposures"))
    if unsettled:
        told.append(f"the time of {unsettled:,} of {shown:,} exposures is not up: their outcome may still change")
    return told


def _summary(content: Content) -> str:
    failed = content["sample_ratio"] is not None and content["sample_ratio"]["holds"] is False
    first, *others = _warnings(content)
    lead = f"<b>{escape(first)}</b>" if failed else escape(first)
    return f"<h1>{escape(_heading(content))}</h1><p class=lead>{lead}.</p>" + "".join(
        f"<p class=note>{escape(one)}.</p>" for one in others
    )


def _arms(content: Content) -> str:
    ratio = content["sample_ratio"]
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{arm['users']:,}</td>"
        f"<td>{'' if ratio is None else format(ratio['expected'][name], ',.0f')}</td><td>{arm['requests']:,}</td>"
        f"<td>{arm['exposures']:,}</td><td>{escape(', '.join(arm['releases']))}</td></tr>"
        for name, arm in content["arms"].items()
    )
    header = "<th></th><th>users</th><th>expected</th><th>answers</th><th>exposures</th><th>releases</th>"
    plots = "".join(
        f"<h3>{metric}: {one.description}</h3>"
        + charts.interval_chart([_bar(content, name, arm["metrics"][metric]) for name, arm in content["arms"].items()])
        for metric, one in METRICS.items()
    )
    return f"<h2>Arms</h2><div class=wide><table><tr>{header}</tr>{rows}</table></div>{plots}"


def _bar(content: Content, name: str, interval: Sequence[float | None]) -> Bar:
    return Bar(name, interval, "memory" if name == content["baseline"] else "channel")


def _differences(content: Content) -> str:
    if not content["differences"]:
        return "<h2>Differences</h2><p>There is one arm only: nothing to compare it with.</p>"
    header = "".join(f"<th>{metric}</th>" for metric in METRICS)
    rows = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{_text(one, signed=True)}<small>{_verdict(one)}</small></td>" for one in found.values())
        + "</tr>"
        for name, found in content["differences"].items()
    )
    return f"<h2>Differences</h2><div class=wide><table><tr><th></th>{header}</tr>{rows}</table></div>"


def _text(interval: Sequence[float | None], signed: bool = False) -> str:
    value, low, high = interval
    sign = "+" if signed else ""
    if value is None:
        return "–"
    known = low is not None and high is not None
    return f"{value:{sign}.4f}" + (f" [{low:{sign}.4f}, {high:{sign}.4f}]" if known else "")


def _verdict(difference: Sequence[float | None]) -> str:
    _, low, high = difference
    if low is None or high is None:
        return "too little to tell"
    return "more" if low > 0 else "less" if high < 0 else "cannot be told apart"


def _notes_section(_: Content) -> str:
    return (
        "<p class=note>In brackets: 95 % intervals, 1,000 bootstraps over users. Differences are paired over users who are in both "
        "arms. Of many differences one in twenty looks certain by chance.</p>"
    )
