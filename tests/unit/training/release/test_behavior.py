"""Floors of behavior: rejected only below the floor and below the active release, with enough cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings
from storage.files import write_json
from tests.support.training.evaluation_content import evaluation
from training.evaluate import HTML_FILE, JSON_FILE
from training.release.gate import (
    FLOORS,
    MIN_ARTISTS,
    MIN_BEHAVIOR_USERS,
    MIN_CASES,
    is_missed,
    judge_behavior,
    read_behavior,
    write_behavior,
)
from training.workspace import Workspace

TEST = "style_after_3_skips"
BEST_ARE_LARGE = {
    "new_style_after_5_likes",
    "new_style_after_5_likes_of_yesterday",
    "daily_head_within_2_per_artist",
    "daily_new_artists",
    "same_request_same_list",
}


def behavior(
    value: float, cases: int = MIN_CASES, users: int = MIN_BEHAVIOR_USERS, name: str = TEST
) -> dict[str, object]:
    return {"tests": {name: {"value": value, "cases": cases}}, "users_of_log": users, "artists": MIN_ARTISTS}


@pytest.mark.parametrize(
    ("value", "before", "cases", "users", "is_passed"),
    [
        (0.5, 0.4, MIN_CASES, MIN_BEHAVIOR_USERS, True),
        (0.7, 0.65, MIN_CASES, MIN_BEHAVIOR_USERS, False),
        (0.7, 0.75, MIN_CASES, MIN_BEHAVIOR_USERS, True),
        (0.7, 0.65, MIN_CASES - 1, MIN_BEHAVIOR_USERS, True),
        (0.7, 0.65, MIN_CASES, MIN_BEHAVIOR_USERS - 1, True),
        (0.7, None, MIN_CASES, MIN_BEHAVIOR_USERS, True),
    ],
)
def test_release_is_rejected_below_floor_and_active_release(value, before, cases, users, is_passed) -> None:
    passed, reasons = judge_behavior(behavior(value, cases, users), None if before is None else behavior(before))
    assert passed == is_passed
    assert any(TEST in reason for reason in reasons) == is_missed(TEST, value)


@pytest.mark.parametrize("name", FLOORS)
def test_every_floor_is_missed_by_the_worst_value_and_reached_by_the_best(name: str) -> None:
    best = behavior(float(name in BEST_ARE_LARGE), name=name)
    worst = behavior(float(name not in BEST_ARE_LARGE), name=name)
    assert not judge_behavior(worst, best)[0]
    assert judge_behavior(best, worst) == (True, ("passes: behavior reaches every floor",))


def test_a_release_without_measured_behavior_is_not_rejected_and_says_so() -> None:
    passed, reasons = judge_behavior(None, behavior(0.1))
    assert passed and "not measured" in reasons[0]


@pytest.mark.parametrize("seed", [None, 3])
def test_measured_behavior_is_read_for_its_models_and_reported_unless_it_is_of_another_seed(
    here: Settings, tmp_path: Path, seed: int | None
) -> None:
    workspace = Workspace(tmp_path / "run", tmp_path, "2026-07-01", "small", seed)
    write_json(workspace.folder / "evaluation" / JSON_FILE, evaluation())
    assert read_behavior(workspace, "models") is None
    tests = {name: {"value": 0.7, "cases": 40, "users": 9} for name in (TEST, "without_floor")}
    write_behavior(workspace, {"release": "models", "tests": tests, "fairness": {}})
    found = read_behavior(workspace, "models")
    assert found is not None and read_behavior(workspace, "other models") is None
    judged = tests[TEST] | {"floor": 0.6, "is_maximum": True, "is_missed": True}
    assert found["tests"] == tests | {TEST: judged}
    assert "at most 0.6, missed" in (workspace.folder / "evaluation" / HTML_FILE).read_text()
    assert (here.reports / HTML_FILE).exists() == (seed is None)
