"""What moved, by day: skips, rows, empty values, distributions and skew against the week before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from statistics import pstdev
from typing import Any

from config.settings import Settings
from storage.report_history import read_history

WEEK_DAYS = 7
SHOWN_DAYS = 14
MIN_CHANGE = 0.02  # of shares of plays
MIN_EMPTY_CHANGE = 0.05
MAX_SKEW = 0.001  # as in the alert SegueSkew
DEVIATIONS = 4.0
"""Least distance of a value from the week before, in standard deviations of its earlier days and of chance."""

Plays = Sequence[tuple[str, int, float, float]]
Series = tuple[str, str, Sequence[str], Sequence[float | None], Callable[[int, float, float], bool], str]
"""A value by day: the subject of "rose", the format of a value, days, values, whether a change is worth a line (given the index of the
day, the value, and the mean of the week before), and the address of details."""


def find_movements(settings: Settings, plays: Plays, profile: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Day → sentences, each with the address of its details; the newest day first. A change is listed on its first day only.

    Args:
        settings: Home of the reports.
        plays: Rows of `console.charts.read_plays_by_day`.
        profile: Content of `data_quality.json`.
    """
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for subject, form, days, values, is_large, page in _list_series(settings, plays, profile):
        is_listed = False
        for number, (day, value) in enumerate(zip(days, values, strict=True)):
            earlier = [one for one in values[:number] if one is not None]
            before = mean(earlier[-WEEK_DAYS:])
            if value is None or before is None or len(earlier) < WEEK_DAYS or not is_large(number, value, before):
                is_listed = False
            elif not is_listed and abs(value - before) > DEVIATIONS * pstdev(earlier):
                is_listed = True
                verb = "rose" if value > before else "fell"
                found[day].append((f"{subject} {verb} from {form.format(before)} to {form.format(value)}", page))
    return {f"{date.fromisoformat(day):%-d %B %Y}": found[day] for day in sorted(found, reverse=True)[:SHOWN_DAYS]}


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _list_series(settings: Settings, plays: Plays, profile: Mapping[str, Any]) -> Iterator[Series]:
    days, counts, skips, full = zip(*plays, strict=True) if plays else ((), (), (), ())
    yield "skips", "{:.0%}", days, skips, _is_far(counts, MIN_CHANGE), ""
    yield "full plays", "{:.0%}", days, full, _is_far(counts, MIN_CHANGE), ""
    rows: list[dict[str, Any]] = read_history(settings.reports / "history" / "skew.jsonl")
    days, skew = tuple(row["as_of"] for row in rows), [row.get("skew_rate") for row in rows]
    yield (
        "feature values that serving reads differently",
        "{:.1%}",
        days,
        skew,
        lambda _, value, __: value > MAX_SKEW,
        "",
    )
    for table in profile["tables"]:
        page, days, counts = f"/quality/{table['name']}", table["days"], table["row_counts"]
        yield (
            f"rows of {table['name']}",
            "{:,.0f}",
            days,
            counts,
            lambda _, value, before: abs(value - before) > before / 2,
            page,
        )
        for column in table["columns"]:
            at, of = f"{page}#{column['name']}", f"{column['name']} of {table['name']}"
            yield f"empty values in {of}", "{:.0%}", days, column["null_rates"], _is_far(counts, MIN_EMPTY_CHANGE), at
            name, drift = f"the distance of {of} from the week before", column["drift"]
            yield name, "{:.2f}", days, drift, lambda _, value, __: value > profile["max_drift"], at


def _is_far(counts: Sequence[float], least: float) -> Callable[[int, float, float], bool]:
    """Whether a share of `counts` changed by `least`, and by more than chance explains."""
    return lambda number, value, before: (
        abs(value - before) > max(least, DEVIATIONS / 2 / max(counts[number], 1) ** 0.5)
    )
