"""A figure that has no interval is told without one."""

from __future__ import annotations

import pytest

from training.evaluation.report import cells, charts
from training.evaluation.report.charts import Bar


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
def test_a_cell(interval: list[float | None] | None, shown: str) -> None:
    assert cells.interval_cell(interval) == shown


def test_a_bar_without_an_interval_is_a_dot() -> None:
    drawn = charts.interval_chart([Bar("a", [0.5, None, None]), Bar("b", [0.6, 0.5, 0.7])])
    assert drawn.count("<circle") == 2 and drawn.count('class="span') == 1
    assert ">0.500</text>" in drawn and ">0.600 [0.500, 0.700]</text>" in drawn


def test_without_an_interval_nothing_is_certain() -> None:
    assert not cells.is_significant([0.5, None, None])
    assert cells.has_few_users({"cases": {"test_users": 9}}) and not cells.has_few_users({"cases": {"test_users": 10}})
