"""The evaluation report as one HTML file without external resources, rendered from the content of `evaluation.json`.

A chapter is a template in `templates/chapters/` and a line in CHAPTERS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from training.data.recall_cases import MIN_USERS
from training.evaluation.report import charts
from training.evaluation.report.chart_rows import (
    group_names,
    list_bars,
    metric_bars,
    order_rows,
    ranking_values,
    row_class,
)
from training.evaluation.report.verdicts import SIMPLE_RULES, difference_class, gate_baseline
from web import create_environment

SPLITS = {
    "user_time": "per-user time split: the first 80 % of a user's plays train, the next 10 % validate, the last 10 % test. "
    "Parameters may use later dates of other users; every feature has its value from before the request",
    "global_time": "global time split: the first 80 % of the plays train, the next 10 % validate, the last 10 % test",
}

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Chapter:
    """One chapter of the report.

    Attributes:
        key: Anchor, and name of the template in `templates/chapters/`.
        title: Heading.
        values: Values of the template besides `content` and `chosen`.
        is_shown: Whether the evaluation has what the chapter shows.
    """

    key: str
    title: str
    values: Callable[[Content], Mapping[str, Any]] = lambda _: {}
    is_shown: Callable[[Content], bool] = lambda _: True


CHAPTERS = (
    Chapter("summary", "Decision, data and what was chosen"),
    Chapter("behavior", "Behavior", is_shown=lambda content: bool(content.get("behavior"))),
    Chapter("recall", "Recall"),
    Chapter("slate", "Slate"),
    Chapter("ranking", "Ranking", ranking_values),
    Chapter("differences", "Differences"),
    Chapter("groups", "Users and tracks"),
    Chapter("channels", "Channels", lambda content: {
        "exposure_rows": list(order_rows(content["exposure"]["recall"] | content["exposure"]["slate"]))}),
    Chapter("search", "Search", is_shown=lambda content: bool(content.get("search"))),
    Chapter("collections", "Playlists and mlogs"),
    Chapter("glossary", "Glossary"),
)  # fmt: skip
"""All chapters below the sentences, folded, in their order."""


def render_page(content: Content, gate: Content | None = None) -> str:
    """The whole report.

    Args:
        content: `evaluation.json` as a dictionary.
        gate: The `Verdict` of the release gate as a dictionary, with `forced`, why it was overruled, and `previous`, the id of the
            active release, both empty if there is none; None before a release.
    """
    environment = create_environment(charts.TEMPLATES)
    environment.filters |= FILTERS
    values: dict[str, Any] = {
        "content": content,
        "chosen": content["chosen"],
        "few_users": has_few_users(content),
        "interval_chart": charts.interval_chart,
        "metric_bars": metric_bars,
        "split": str(SPLITS.get(content["split"], content["split"])),
        "baseline": gate_baseline(content),
        "simple_rules": SIMPLE_RULES,
        "list_bars": list_bars(content),
        "gate": gate,
        "parts": [(one.key, one.title, one.values(content)) for one in CHAPTERS if one.is_shown(content)],
    }
    return environment.get_template("evaluation.html").render(values)


def has_few_users(content: Mapping[str, Any]) -> bool:
    """Whether there are too few users to resample them, so that intervals resample their sessions."""
    return bool(content["cases"]["test_users"] < MIN_USERS)


def format_decimal(value: float | None, digits: int = 4, missing: str = "–") -> str:
    """A number with fixed decimal places; `missing` for None."""
    return missing if value is None else f"{value:.{digits}f}"


FILTERS = {
    "decimal": format_decimal,
    "difference_class": difference_class,
    "group_names": group_names,
    "more_of_100": charts.more_of_100,
    "of_100": charts.of_100,
    "order_rows": order_rows,
    "row_class": row_class,
}
"""Filters of the report's templates."""
