"""Exploration slots: which exposures are one draw, and which outcomes are final."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from tests.unit.training.experiments.exposure_mart import AT, row, write
from training.experiments.exploration_slots import load_exploration_slots


def rewards(home: Path, rows: list[dict[str, Any]]) -> list[float]:
    """Rewards of the slots of exploration exposures, each with a probability under the policy."""
    marts = write(home, [one | {"is_exploration": True, "propensity": 0.1} for one in rows])
    policy = home / "policy.parquet"
    pl.DataFrame({"event_id": [one["event_id"] for one in rows], "probability": 0.1}).write_parquet(policy)
    return list(load_exploration_slots(marts, policy, "is_full_play").reward_N)


def test_exposures_with_an_open_outcome_window_are_no_slots(tmp_path: Path) -> None:
    rows = [row(n, f"u{n}", is_full_play=n in (0, 1), is_settled=n < 4) for n in range(8)]
    assert rewards(tmp_path, rows) == [1, 1, 0, 0]


def test_a_list_with_an_open_exposure_is_no_slot(tmp_path: Path) -> None:
    assert rewards(tmp_path, [row(0, "u"), row(1, "u", is_settled=False), row(2, "v")]) == [0]


def test_every_request_of_a_radio_is_a_draw(tmp_path: Path) -> None:
    rows = [row(n, "u", scene="private_fm", is_full_play=n == 1) for n in range(4)]
    assert rewards(tmp_path, rows) == [0, 1, 0, 0]


def test_requests_of_a_daily_list_are_one_draw_per_day(tmp_path: Path) -> None:
    rows = [row(n, "u", shown_at=AT + timedelta(hours=10 * n), is_full_play=n == 1) for n in range(4)]
    assert rewards(tmp_path, rows) == [1, 0]
