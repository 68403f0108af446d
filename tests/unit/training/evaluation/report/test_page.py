"""Elements of the evaluation report: intervals, charts, curves, escaping, chapters."""

from __future__ import annotations

from tests.support.training.evaluation_content import evaluation
from training.evaluation.report import charts, page
from training.evaluation.report.charts import Bar, SweepPoint


def test_chart_labels_are_escaped() -> None:
    chart = charts.interval_chart([Bar("<b>&", [0.5, 0.4, 0.6])])
    assert "&lt;b&gt;&amp;" in chart and "<b>&" not in chart
    assert "&lt;i&gt;" in charts.calibration_chart({"<i>": [(0.2, 0.3, 10)]})
    assert "&lt;i&gt;" in charts.sweep_chart("<i>", "weight", [SweepPoint("0", 0.1), SweepPoint("1", 0.2)])


def test_the_page_has_no_scripts_and_no_external_resources() -> None:
    html = page.render_page(evaluation())
    assert not [text for text in ("http://", "https://", "<script", "stylesheet", "@import", "url(") if text in html]
