"""Elements of the evaluation report: intervals, charts, curves, escaping, chapters."""

from __future__ import annotations

import pytest

from tests.support.training.evaluation_content import evaluation
from training.evaluation.report import charts, page
from training.evaluation.report.charts import Bar


def test_chart_labels_are_escaped() -> None:
    chart = charts.interval_chart([Bar("<b>&", [0.5, 0.4, 0.6])])
    assert "&lt;b&gt;&amp;" in chart and "<b>&" not in chart


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.13, 0.47], [0.1, 0.2, 0.3, 0.4, 0.5]),
        ([-0.03, 0.0], [-0.03, -0.02, -0.01, 0.0]),
        ([0.25], [0.2, 0.3]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(values: list[float], expected: list[float]) -> None:
    assert charts.axis_ticks(values) == expected


def test_the_page_has_no_scripts_and_no_external_resources() -> None:
    html = page.render_page(evaluation())
    assert not [text for text in ("http://", "https://", "<script", "stylesheet", "@import", "url(") if text in html]
