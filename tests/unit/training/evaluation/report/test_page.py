"""Elements of the evaluation report: intervals, charts, curves, escaping, chapters."""

from __future__ import annotations

import re

import pytest

from tests.support.training.evaluation_content import by_part, evaluation
from training.evaluation.report import charts, page
from training.evaluation.report.chart_rows import difference_bars, order_rows
from training.evaluation.report.charts import Bar, SweepPoint
from training.evaluation.report.sweeps import slate_sweeps
from training.evaluation.report.verdicts import Gate
from web import create_environment


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([0.5, 0.4, 0.6], "0.500<small>0.400–0.600</small>"),
        ([-0.5, -0.6, -0.4], "-0.500<small>-0.600 to -0.400</small>"),
        ([0.5, None, None], "0.500"),
        ([None, None, None], "–"),
        (None, "–"),
    ],
)
def test_interval_cell(value: list[float | None] | None, shown: str) -> None:
    template = create_environment(charts.TEMPLATES)
    template.filters |= page.FILTERS
    call = "{% from 'elements.html' import interval_cell %}{{ interval_cell(interval) }}"
    assert template.from_string(call).render(interval=value).strip() == shown


def test_bar_without_interval_is_a_dot() -> None:
    chart = charts.interval_chart([Bar("a", [0.5, None, None]), Bar("b", [0.6, 0.5, 0.7])])
    assert chart.count('class="dot"') == 2 and chart.count('class="span"') == 1
    assert "<b>0.500</b>" in chart and "<b>0.600</b> <small>[0.500, 0.700]</small>" in chart


def test_positions_of_a_chart_are_shares_of_its_axis() -> None:
    chart = charts.interval_chart([Bar("a", [0.5, 0.25, 1.0])])
    assert '<i class="span" style="left:25.00%;width:75.00%"></i><i class="dot" style="left:50.00%"></i>' in chart


def test_few_users_have_intervals_over_sessions() -> None:
    assert page.has_few_users({"cases": {"test_users": 9}}) and not page.has_few_users({"cases": {"test_users": 10}})


@pytest.mark.parametrize("is_own", [True, False])
def test_a_catalog_of_ones_own_plays_is_said_to_have_no_discoveries(is_own: bool) -> None:
    report = page.render_page(evaluation() | {"is_own_catalog": is_own})
    assert ("make run LOGS=PATH" in report) == is_own


def test_chart_labels_are_escaped() -> None:
    chart = charts.interval_chart([Bar("<b>&", [0.5, 0.4, 0.6])])
    assert "&lt;b&gt;&amp;" in chart and "<b>&" not in chart
    assert "&lt;i&gt;" in charts.calibration_chart({"<i>": [(0.2, 0.3, 10)]})
    assert "&lt;i&gt;" in charts.sweep_chart("<i>", "weight", [SweepPoint("0", 0.1), SweepPoint("1", 0.2)])


def test_chart_without_values_is_a_note() -> None:
    assert charts.interval_chart([Bar("a", None)]) == '<p class="note">No user could be measured.</p>'


def test_formatted_intervals() -> None:
    assert charts.format_interval([0.5, None, None]) == "0.5000"
    assert charts.format_interval([0.5, 0.4, 0.6], signed=True) == "+0.5000 [+0.4000, +0.6000]"
    assert charts.format_interval([None, None, None]) == "–"


def test_curves_are_in_ascending_order_and_mark_the_chosen_value() -> None:
    (caps,) = slate_sweeps(evaluation())
    assert [(value, is_chosen) for value, is_chosen, _ in caps.rows] == [("2", False), ("4", True), ("10", False)]
    (name, chart), _ = caps.charts
    assert name == "recall@30"
    assert chart.count('class="mark"') == 1 and "chosen: tracks 4: 0.3000" in chart
    heights = [float(y) for y in re.findall(r'<circle class="series0" cx="[\d.]+" cy="([\d.]+)"', chart)]
    assert heights == sorted(heights, reverse=True), "larger values are higher up"


def test_a_curve_with_intervals_has_a_band() -> None:
    points = [SweepPoint("0", 0.2, 0.1, 0.3), SweepPoint("1", 0.2, 0.1, 0.3)]
    assert 'class="band"' in charts.sweep_chart("recall@50", "share", points)
    assert 'class="band"' not in charts.sweep_chart("recall@50", "share", [SweepPoint("0", 0.1), SweepPoint("1", 0.2)])


def test_rows_are_sorted_by_their_metric() -> None:
    assert list(order_rows(evaluation()["slate"], "recall_at_30", "all")) == ["served", "up_cf", "fused", "most_played"]
    (bars,) = (bars for metric, bars in difference_bars(evaluation()).items() if metric == "recall_at_200/reachable")
    assert [(bar.label, bar.kind) for bar in bars] == [("fused − ease", "loss")]


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


def test_the_previous_release_is_compared_after_the_gate_decided() -> None:
    content = evaluation()
    before = {name: content[name] for name in ("slate", "recall", "ranking")}
    before |= {"slate": {"served": {"recall_at_30": by_part(0.2), "ndcg_at_10": by_part(0.155)}}}
    previous = {"release": "older", "ranker": "sum_pooling", "blend": {"weight": 0.3}, "metrics": before}
    gate = Gate(True, ("passes: <fine>",), {"slate - production": [0.1, 0.05, 0.15]}, previous=previous)
    html = page.render_page(content, gate)
    assert '<a href="#previous_release">' in html and "<code>older</code>" in html
    assert "passes: &lt;fine&gt;" in html
    assert '<td class="gain">+0.1000<small>[+0.0500, +0.1500]</small></td>' in html
    assert '<tr class="differs"><th scope="row">ranker weight among repeats</th><td>0.5</td><td>0.3</td></tr>' in html
