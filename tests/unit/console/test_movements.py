"""What moved, by day."""

import re

import pytest

from console.movements import find_movements
from tests.support.log_sources import json_lines

DAYS = [f"2026-06-{day:02}" for day in range(1, 13)]
STEADY = [0.12, 0.13, 0.12, 0.11, 0.12, 0.13, 0.11, 0.12]


def skips(shares, plays=10_000):
    return [(day, plays, share, 0.5) for day, share in zip(DAYS, shares, strict=False)]


def table(rows=1000, **values):
    counts, none = rows if isinstance(rows, list) else [rows] * len(DAYS), [None] * len(DAYS)
    column = {"name": "scene", "null_rates": none, "drift": none, **values}
    return {
        "max_drift": 0.2,
        "tables": [{"name": "events", "days": DAYS, "row_counts": counts, "columns": [column]}],
    }


EMPTY = {"tables": []}


@pytest.mark.parametrize(
    ("plays", "profile", "day", "values", "page"),
    [
        # a step is listed on its first day only, not as long as the week before contains other days
        (skips([*STEADY, 0.18, 0.19, 0.18]), EMPTY, "9 June 2026", ["12%", "18%"], ""),
        (skips([*STEADY, 0.13, 0.11]), EMPTY, "", [], ""),
        (skips([*STEADY, 0.18], plays=100), EMPTY, "", [], ""),  # as by chance
        (skips([0.1, 0.2]), EMPTY, "", [], ""),  # not a week yet
        ([], table([1000] * 10 + [200, 1000]), "11 June 2026", ["1,000", "200"], "/quality/events"),
        ([], table(null_rates=[0.0] * 11 + [0.25]), "12 June 2026", ["0%", "25%"], "/quality/events#scene"),
        ([], table(rows=4, null_rates=[0.0] * 11 + [0.25]), "", [], ""),
        ([], table(drift=[None] * 3 + [0.05] * 8 + [0.4]), "12 June 2026", ["0.05", "0.40"], "/quality/events#scene"),
        ([], table(), "", [], ""),
    ],
)
def test_changes_that_chance_does_not_explain_are_told_once(here, plays, profile, day, values, page):
    found = find_movements(here, plays, profile)
    assert list(found) == ([day] if day else [])
    for text, address in found.get(day, []):
        assert (re.findall(r"[\d.,]*\d%?", text), address) == (values, page)


def test_the_newest_day_is_first_and_skew_counts(here):
    rates = [0.0] * 9 + [0.01]
    skew = [{"as_of": day, "skew_rate": rate} for day, rate in zip(DAYS, rates, strict=False)]
    json_lines(here.reports / "history" / "skew.jsonl", skew)
    assert list(find_movements(here, skips([*STEADY, 0.18]), EMPTY)) == ["10 June 2026", "9 June 2026"]
