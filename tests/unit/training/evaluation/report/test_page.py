"""Elements of the evaluation report: intervals, charts, curves, escaping, chapters."""

from __future__ import annotations

import re

from tests.support.training.evaluation_content import evaluation
from training.evaluation.report import charts, page
from training.evaluation.report.charts import Bar, SweepPoint
from training.evaluation.report.verdicts import Gate


def test_chart_labels_are_escaped() -> None:
    chart = charts.interval_chart([Bar("<b>&", [0.5, 0.4, 0.6])])
    assert "&lt;b&gt;&amp;" in chart and "<b>&" not in chart
    assert "&lt;i&gt;" in charts.calibration_chart({"<i>": [(0.2, 0.3, 10)]})
    assert "&lt;i&gt;" in charts.sweep_chart("<i>", "weight", [SweepPoint("0", 0.1), SweepPoint("1", 0.2)])


def test_every_chapter_is_in_the_contents_and_has_its_own_heading() -> None:
    html = page.render_page(evaluation())
    shown = [chapter for chapter in page.CHAPTERS if chapter.is_shown(evaluation() | {"gate": Gate(False, (), {})})]
    assert re.findall(r'<li><a href="#(\w+)">', html) == ["summary", *(chapter.key for chapter in shown)]
    assert re.findall(r'<section id="(\w+)">', html) == ["summary", *(chapter.key for chapter in shown)]
    assert "Previous release" not in html and "Calibration" not in html, "there is nothing to show"
    assert "<script" not in html


def test_behavior_is_shown_with_the_floors_that_are_missed() -> None:
    tests = {"skips": {"value": 0.7, "cases": 40, "users": 40, "floor": 0.6, "is_maximum": True, "is_missed": True}}
    tests["known"] = {"value": 0.5, "cases": 40, "users": 40}
    html = page.render_page(evaluation() | {"behavior": {"tests": tests, "fairness": {"activity": {"least": 0.4}}}})
    assert "at most 0.6, missed" in html and "0.500" in html and "least 0.400" in html
