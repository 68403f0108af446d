"""Behavior of an action: boundary cases of the thresholds in dbt's vars."""

from __future__ import annotations

from pathlib import Path

import pytest

from sequences import behaviours


@pytest.fixture
def table(tmp_path: Path) -> behaviours.Behaviours:
    (tmp_path / "dbt_project.yml").write_text(
        "vars: {segue: {skip_below_ms: 30000, full_play_ratio: 0.9, session_gap_minutes: 30}}"
    )
    return behaviours.load_behaviours(tmp_path)


@pytest.mark.parametrize(
    ("action", "played_ms", "duration_ms", "behaviour"),
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
def test_behaviour_of(
    table: behaviours.Behaviours, action: str, played_ms: int | None, duration_ms: int | None, behaviour: str | None
) -> None:
    assert table.behaviour_of(action, played_ms, duration_ms) == behaviour


def test_errors_name_the_value(table: behaviours.Behaviours, tmp_path: Path) -> None:
    with pytest.raises(behaviours.BehaviourError, match="'hum' is unknown"):
        table.behaviour_of("hum", None, None)
    with pytest.raises(behaviours.BehaviourError, match="played_ms"):
        table.behaviour_of("play", None, 1000)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dbt_project.yml").write_text("vars: {}")
    with pytest.raises(behaviours.BehaviourError, match="skip_below_ms"):
        behaviours.load_behaviours(tmp_path / "other")


def test_played_ratio_is_at_most_one_and_unknown_without_a_length() -> None:
    assert behaviours.played_ratio(50, 100) == 0.5
    assert behaviours.played_ratio(150, 100) == 1.0
    assert behaviours.played_ratio(50, None) is None
    assert behaviours.played_ratio(50, 0) is None


def test_seed_contains_all_behaviours_of_the_views() -> None:
    from sequences.views import SEQUENCE_VIEWS

    known = behaviours.load_behaviours().ids
    assert min(known.values()) == 1
    for view in SEQUENCE_VIEWS.values():
        assert set(view.behaviours) <= set(known)
