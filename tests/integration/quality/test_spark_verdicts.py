"""Spark and pandas give equal results for every expectation of valid and of invalid tables.

With SEGUE_ACCEPTANCE for all suites, otherwise for a few that have every kind of expectation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from config import settings
from quality import suites
from quality.suite_runner import LANDED_SUITE, STAGES, Validator
from quality.validate import create_engine
from tests.support import spark
from tests.support.quality_home import AS_OF, EVENTS, ROWS, write_home, write_landing, write_mart

pytestmark = [spark.needs_spark]

BROKEN = {
    "tracks": ("1000 as", "-1 as"),
    "playlists": ("'ugc'", "'friend'"),
    "artists": ("select", "select unnest([1, 2]) as row,"),
    "sessions": ("'train' as part", "1 as one"),
    "user_profiles": ("8 as listens", "10 as listens"),
    "track_statistics": ("8 as listens", "null::bigint as listens"),
    "exposures": ("1.0 as propensity", "2.0 as propensity"),
    "online_metrics": ("4 as plays", "7 as plays"),
    "time_split": ("select", "select unnest(['a', 'b']) as x,"),
    "knowledge_triples": ("'track:t'", "'t'"),
    "track_comments": ("'fine' as text", "null::varchar as text"),
}
SUITES = {LANDED_SUITE: suites.LANDED_EVENTS, **suites.MARTS}
FULL = bool(os.environ.get("SEGUE_ACCEPTANCE"))
COMPARED = [*SUITES] if FULL else [LANDED_SUITE, "events", "artists", "knowledge_triples", "online_metrics"]
LAST_DAY = "ended_at >= timestamp '2026-06-09'"


@pytest.fixture(scope="module", autouse=True)
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with spark.session(tmp_path_factory.mktemp("spark")) as opened:
        yield opened


def verdicts(home: Path, engine: str) -> dict[str, Any]:
    """Results by suite, without row examples and error traces, which differ between engines."""
    here = settings.Settings(home=home)
    judge = create_engine(engine)
    try:
        validator = Validator(judge)
        names = (None,) if FULL else COMPARED
        outcomes = [
            one
            for stage in STAGES.values()
            for name in names
            for one in stage(here, date.fromisoformat(AS_OF), validator, name)
        ]
    finally:
        judge.close()
    return {
        one.suite: ([(check.column, check.text, check.is_passed) for check in one.checks], one.notes)
        for one in outcomes
    }


def test_every_kind_of_expectation_is_compared() -> None:
    def kinds(names: list[str]) -> set[tuple[type, bool]]:
        items = [item for name in names for item in SUITES[name].expectations]
        return {(type(item), getattr(item, "or_equal", True)) for item in items}

    assert kinds(COMPARED) == kinds([*SUITES])


def test_invalid_tables(tmp_path: Path) -> None:
    write_home(tmp_path)
    for mart, (good, bad) in BROKEN.items():
        write_mart(tmp_path, mart, ROWS[mart].replace(good, bad, 1))
    without_users = f"select * replace (if({LAST_DAY}, null, user_id) as user_id"
    write_landing(tmp_path, f"{without_users}) from ({EVENTS})")
    write_mart(tmp_path, "events", f"{without_users}, if({LAST_DAY}, 'click', action) as action) from ({EVENTS})")
    found = verdicts(tmp_path, "spark")
    theirs = verdicts(tmp_path, "duckdb")
    assert found == theirs
    assert sorted(found) == sorted(COMPARED)
    broken = {*BROKEN, "events", LANDED_SUITE}
    assert {suite for suite, (checks, *_) in found.items() if not all(passed for *_, passed in checks)} == broken & {
        *COMPARED
    }


def test_spark_spills_into_the_home_folder() -> None:
    assert list((Path(os.environ["SEGUE_HOME"]) / "spark" / "spill").glob("blockmgr-*"))
