"""Profile of a mart by day: counts, null rates, distances from the week before."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pytest

from quality.daily_profile import OTHER, profile_marts, total_variation

AS_OF = date(2026, 6, 30)
# 200 rows a day from 1 May to 29 June; from 23 June on, half of the plays are skips, and scenes are missing on the last day.
EVENTS = """
    select
        'user ' || i as user_id,
        timestamp '2026-05-01' + interval (day) day + interval (i) second as known_at,
        if(day >= 53 and i % 2 = 0, 'skip', 'play') as action,
        if(day = 59 and i % 4 = 0, null, 'daily') as scene,
        i % 10 * 1000 as played_ms,
        i % 2 = 0 as is_liked,
        (i % 2)::decimal(3, 1) as ratio,
        if(i = 0, 'nan'::double, i % 2 * 0.5) as score,
        date '2026-01-01' as birthday,
        'title ' || i as title,
        [i] as channels
    from range(60) as d(day), range(200) as t(i)
"""


@pytest.fixture
def events(tmp_path: Path) -> dict:
    duckdb.sql(EVENTS).write_parquet(str(tmp_path / "events.parquet"))
    (table,) = profile_marts(tmp_path, {"events": "known_at", "plays": "known_at"}, AS_OF)["tables"]
    return table


def test_days_are_counted_and_have_no_gaps(events: dict) -> None:
    assert events["rows"] == 60 * 200 and events["newest_at"] == "2026-06-29T00:03:19"
    assert events["days"][0] == "2026-06-02" and events["days"][-1] == "2026-06-29" and len(events["days"]) == 28
    assert events["row_counts"] == [200] * 28


def test_identifiers_times_and_lists_are_left_out(events: dict) -> None:
    assert [column["name"] for column in events["columns"]] == [
        *("action", "scene", "played_ms", "is_liked", "ratio", "score", "birthday", "title"),
    ]


def test_drift_is_the_distance_from_the_seven_days_before(events: dict) -> None:
    action, scene, played, liked, ratio, score, birthday, title = events["columns"]
    assert action["drift"][-8] == 0 and action["drift"][-7] == pytest.approx(0.5), "23 June against the week before"
    assert action["drift"][-1] == pytest.approx(0.5 - 6 / 7 / 2), "on 29 June, six days of the week before have skips"
    assert action["week_drift"] == pytest.approx(0.5)
    assert action["bins"] == [("play", 0.5, 1.0), ("skip", 0.5, 0.0)]
    assert scene["null_rates"][-2:] == [0, 0.25] and scene["week_drift"] == 0, "nulls are no value"
    assert played["week_drift"] == liked["week_drift"] == 0
    assert liked["bins"] == [("false", 0.5, 0.5), ("true", 0.5, 0.5)]
    assert [label for label, *_ in played["bins"]][:3] == ["up to 0", "0 – 1,000", "1,000 – 2,000"]
    assert ratio["bins"] == [("up to 0", 0.5, 0.5), ("0 – 1", 0.5, 0.5)]
    assert [newest for _, newest, _ in score["bins"]] == [0.495, 0.5, 0.005], "a number that is none is above all"
    assert (birthday["bins"], birthday["null_rates"][-1]) == ([], 0)
    assert (title["bins"], title["week_drift"], title["null_rates"][-1]) == ([], None, 0), "every row has its own title"


@pytest.mark.parametrize(
    "scene",
    ["if(i = 7 and day = 59, 'secret', 'daily')", "if(day = 59 and i % 4 = 0, 'a' || chr(0) || 'b', 'daily')"],
    ids=["of a single row", "with a NUL"],
)
def test_the_profile_is_json_without_values_of_single_rows_or_with_a_nul(tmp_path: Path, scene: str) -> None:
    duckdb.sql(EVENTS.replace("if(day = 59 and i % 4 = 0, null, 'daily')", scene)).write_parquet(
        str(tmp_path / "events.parquet")
    )
    text = json.dumps(profile_marts(tmp_path, {"events": "known_at"}, AS_OF))
    assert "secret" not in text and "u0000" not in text and "NaN" not in text and OTHER in text


def test_an_empty_mart_has_no_days(tmp_path: Path) -> None:
    duckdb.sql(f"select * from ({EVENTS}) where false").write_parquet(str(tmp_path / "events.parquet"))
    (table,) = profile_marts(tmp_path, {"events": "known_at"}, AS_OF)["tables"]
    assert (table["rows"], table["newest_at"], table["days"]) == (0, None, [])


def test_few_rows_are_not_compared() -> None:
    assert total_variation(np.array([50, 49]), np.array([100, 0])) is None
    assert total_variation(np.array([50, 50]), np.array([100, 0])) == 0.5
