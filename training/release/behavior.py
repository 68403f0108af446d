"""The section `behavior` of an evaluation, and the rule of the release gate on it.

Behavior is measured on the served path (`serving.behavior`), after the final fits. A release is rejected if a test is
beyond its floor *and* beyond the value of the active release; a first release never is. Tests with too few cases are
reported only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.settings import SettingError, TrainingSettings
from storage.files import atomic_write
from training.engine.workspace import Workspace, write_json
from training.evaluate import HTML_FILE, JSON_FILE, publish_reports
from training.evaluation.report.page import render_page

MIN_USERS, MIN_ARTISTS, MIN_CASES = 50, 20, 30
SECTION = "behavior"


@dataclass(frozen=True)
class Floor:
    """What a test has to reach."""

    value: float
    is_maximum: bool = True

    def is_missed(self, value: float) -> bool:
        """Whether a value is beyond the floor."""
        return value > self.value if self.is_maximum else value < self.value

    def is_worse(self, value: float, other: float) -> bool:
        """Whether a value is worse than another one."""
        return value > other if self.is_maximum else value < other


FLOORS: Mapping[str, Floor] = {
    "style_after_3_skips": Floor(0.6),
    "style_after_3_dislikes": Floor(0.4),
    "new_style_after_5_likes": Floor(0.15, is_maximum=False),
    "new_style_after_5_likes_of_yesterday": Floor(0.1, is_maximum=False),
    "next_by_skipped_artist": Floor(0.02),
    "artist_after_block": Floor(0.0),
    "daily_neighbors_by_one_artist": Floor(0.0),
    "private_fm_neighbors_by_one_artist": Floor(0.0),
    "daily_head_within_2_per_artist": Floor(1.0, is_maximum=False),
    "daily_skipped_and_never_heard": Floor(0.01),
    "private_fm_skipped_and_never_heard": Floor(0.01),
    "daily_new_artists": Floor(0.15, is_maximum=False),
    "false_reasons": Floor(0.0),
    "same_request_same_list": Floor(1.0, is_maximum=False),
}
"""Test → floor. Other tests are reported only."""


def read_floors() -> Mapping[str, Floor]:
    """The floors, with the values of `SEGUE_BEHAVIOR_FLOORS`: `TEST=VALUE`, separated by commas.

    Raises:
        SettingError: It names no test, or a value is not a number.
    """
    chosen = TrainingSettings().behavior_floors
    if unknown := [name for name in chosen if name not in FLOORS]:
        raise SettingError(
            f"SEGUE_BEHAVIOR_FLOORS has {unknown[0]}={chosen[unknown[0]]}, which is no floor; write TEST=NUMBER with one of "
            f"{', '.join(FLOORS)}"
        )
    return {**FLOORS, **{name: replace(FLOORS[name], value=value) for name, value in chosen.items()}}


def read_behavior(workspace: Workspace, identity: str) -> Mapping[str, Any] | None:
    """The section of these models; None if their behavior was not measured."""
    content = json.loads(_file(workspace).read_text()).get(SECTION)
    return content if content and content["release"] == identity else None


def write_behavior(workspace: Workspace, content: Mapping[str, Any]) -> None:
    """Add the section, with the floors, to the evaluation, and render the report again."""
    floors = read_floors()
    tests = {name: test | _describe(floors.get(name), test["value"]) for name, test in content["tests"].items()}
    evaluation = json.loads(_file(workspace).read_text()) | {SECTION: {**content, "tests": tests}}
    write_json(_file(workspace), evaluation)
    atomic_write(workspace.folder / "evaluation" / HTML_FILE, render_page(evaluation))
    if workspace.seed is None:
        publish_reports(workspace.folder / "evaluation")


def judge_behavior(
    behavior: Mapping[str, Any] | None, production: Mapping[str, Any] | None
) -> tuple[bool, tuple[str, ...]]:
    """Whether the gate lets a release pass, and one reason per missed floor.

    Args:
        behavior: Section of the release; None if it was not measured.
        production: Section of the active release; None if there is none, or it was not measured.
    """
    if behavior is None:
        return True, ("passes: behavior was not measured; run `python -m serving.behavior` before the release",)
    is_large = behavior["users_of_log"] >= MIN_USERS and behavior["artists"] >= MIN_ARTISTS
    reasons, is_passed = [], True
    for name, floor in read_floors().items():
        test = behavior["tests"].get(name)
        if test is None or not floor.is_missed(test["value"]):
            continue
        before = (production or {}).get("tests", {}).get(name)
        is_judged = is_large and test["cases"] >= MIN_CASES and before is not None
        is_rejected = is_judged and floor.is_worse(test["value"], before["value"])
        is_passed = is_passed and not is_rejected
        active = f", active release {before['value']:.4f}" if before is not None else ", no active release"
        reasons.append(
            f"{'FAILS' if is_rejected else 'passes'}: behavior {name} {test['value']:.4f} misses {floor.value:g}{active}"
        )
    return is_passed, tuple(reasons) or ("passes: behavior reaches every floor",)


def _describe(floor: Floor | None, value: float) -> dict[str, Any]:
    if floor is None:
        return {}
    return {"floor": floor.value, "is_maximum": floor.is_maximum, "is_missed": floor.is_missed(value)}


def _file(workspace: Workspace) -> Path:
    return workspace.folder / "evaluation" / JSON_FILE
