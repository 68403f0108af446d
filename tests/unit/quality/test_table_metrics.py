"""Metrics that compare the newest day with the week before it."""

from datetime import date, timedelta

import polars as pl
import pytest

from quality.table_metrics import trailing_week_metrics

NEWEST = 20_000  # day since 1970
END = date(1970, 1, 1) + timedelta(days=NEWEST + 1)
A_DAY = 12_000  # events


def counts(rows: list[tuple[int, str, int | None, int]]) -> pl.DataFrame:
    """The table that `count_days` returns."""
    return pl.DataFrame(rows, ["day", "action", "length", "count"], orient="row")


@pytest.mark.parametrize(
    ("days_before", "ratio"),
    [
        ([1], 1),  # the second day of a log
        ([1, 2, 3], 1),
        ([1, 2, 3, 4, 5, 6, 7], 1),
        ([1, 2, 3, 4, 5, 6, 7, 8, 20], 1),
        ([1, 7], 7 / 2),  # days without events count from the first event on
        ([1, 20], 7),
    ],
)
def test_volume_is_compared_with_the_days_since_the_first_event(days_before: list[int], ratio: float) -> None:
    metrics = trailing_week_metrics(counts([(NEWEST - before, "play", 3, A_DAY) for before in [0, *days_before]]), END)
    assert metrics.values == {"volume_ratio": pytest.approx(ratio), "action_drift": 0, "length_drift": 0}
    assert metrics.notes == []


def test_a_day_that_has_not_ended_is_not_compared() -> None:
    found = counts([*((NEWEST - before, "play", 3, A_DAY) for before in range(9)), (NEWEST + 1, "like", None, 5)])
    assert trailing_week_metrics(found, END).values == {"volume_ratio": 1, "action_drift": 0, "length_drift": 0}
