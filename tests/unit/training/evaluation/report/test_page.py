"""Elements of the evaluation report: intervals, charts, escaping."""

from __future__ import annotations

import pytest

from training.evaluation.report import charts, page
from training.evaluation.report.charts import Bar
from web import create_environment


@pytest.mark.parametrize(
    ("interval", "shown"),
    [
        ([0.5, 0.4, 0.6], "0.500<small>0.400–0.600</small>"),
        ([-0.5, -0.6, -0.4], "-0.500<small>-0.600 to -0.400</small>"),
        ([0.5, None, None], "0.500"),
        ([None, None, None], "–"),
        (None, "–"),
    ],
)
def test_interval_cell(interval: list[float | None] | None, shown: str) -> None:
    template = create_environment(charts.TEMPLATES)
    template.filters |= dict.fromkeys(("group_names", "order_rows", "row_class", "weights"), str)
    template.filters["decimal"] = page.format_decimal
    call = "{% from 'elements.html' import interval_cell %}{{ interval_cell(interval) }}"
    assert template.from_string(call).render(interval=interval).strip() == shown


def test_bar_without_interval_is_a_dot() -> None:
    chart = charts.interval_chart([Bar("a", [0.5, None, None]), Bar("b", [0.6, 0.5, 0.7])])
    assert chart.count("<circle") == 2 and chart.count('class="span') == 1
    assert ">0.500</text>" in chart and ">0.600 [0.500, 0.700]</text>" in chart


def test_difference_without_interval_is_not_significant() -> None:
    assert not page.is_significant([0.5, None, None])
    assert page.has_few_users({"cases": {"test_users": 9}}) and not page.has_few_users({"cases": {"test_users": 10}})


def test_chart_labels_are_escaped() -> None:
    chart = charts.interval_chart([Bar("<b>&", [0.5, 0.4, 0.6])])
    assert "&lt;b&gt;&amp;" in chart and "<b>" not in chart
    assert "&lt;i&gt;" in charts.calibration_chart({"<i>": [(0.2, 0.3, 10)]})


def test_chart_without_values_is_a_note() -> None:
    assert charts.interval_chart([Bar("a", None)]) == '<p class="note">No user could be measured.</p>'


def test_formatted_intervals() -> None:
    assert charts.format_interval([0.5, None, None]) == "0.5000"
    assert charts.format_interval([0.5, 0.4, 0.6], signed=True) == "+0.5000 [+0.4000, +0.6000]"
    assert charts.format_interval([None, None, None]) == "–"
