"""Behavior of an action: boundary cases of the thresholds in dbt's vars."""

from __future__ import annotations

from pathlib import Path

import pytest

from sequences import behaviors
from sequences.sequence_views import SEQUENCE_VIEWS


@pytest.fixture
def table(tmp_path: Path) -> behaviors.Behaviors:
    (tmp_path / "dbt_project.yml").write_text(
        "vars: {skip_below_ms: 30000, full_play_ratio: 0.9, session_gap_minutes: 30}"
    )
    return behaviors.load_behaviors(tmp_path)


@pytest.mark.parametrize(
    ("action", "played_ms", "duration_ms", "behavior"),
    [
        ("play", 29_999, 30_000, "skip"),
        ("play", 30_000, 60_000, "play"),
        ("play", 89_999, 100_000, "play"),
        ("play", 90_000, 100_000, "full_play"),
        ("play", 500_000, 100_000, "full_play"),
        ("play", 500_000, None, "play"),
        ("like", None, None, "like"),
        ("impression", None, None, None),
    ],
)
def test_behavior_of(
    table: behaviors.Behaviors, action: str, played_ms: int | None, duration_ms: int | None, behavior: str | None
) -> None:
    assert table.behavior_of(action, played_ms, duration_ms) == behavior


@pytest.mark.parametrize(("action", "message"), [("hum", "'hum' is unknown"), ("play", "played_ms")])
def test_errors_name_the_value(table: behaviors.Behaviors, action: str, message: str) -> None:
    with pytest.raises(behaviors.BehaviorError, match=message):
        table.behavior_of(action, None, 1000)


@pytest.mark.parametrize(
    ("played_ms", "duration_ms", "ratio"), [(50, 100, 0.5), (150, 100, 1.0), (50, None, None), (50, 0, None)]
)
def test_played_ratio_is_at_most_one_and_unknown_without_a_length(
    played_ms: int, duration_ms: int | None, ratio: float | None
) -> None:
    assert behaviors.played_ratio(played_ms, duration_ms) == ratio


def test_seed_contains_all_behaviors_of_the_views() -> None:
    known = {row.behavior: row.behavior_id for row in behaviors.load_behaviors().rows}
    assert min(known.values()) == 1
    assert {name for view in SEQUENCE_VIEWS.values() for name in view.behaviors} <= set(known)
