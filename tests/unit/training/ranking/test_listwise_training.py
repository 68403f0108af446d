"""Past requests that the listwise head is fitted on, and their targets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.training.tiny_world import START, write_marts
from training.data.training_data import TrainingData
from training.ranking import listwise_training
from training.ranking.listwise_training import sample_past_requests
from training.recipes import recipe

SESSIONS, LENGTH = 20, 6


def test_targets_are_the_listens_from_the_request_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two users with one session per day of six tracks, of which the fourth is skipped."""
    plays = [
        (
            user,
            f"t{(day * LENGTH + number) % 40}",
            START + timedelta(days=day, minutes=4 * number),
            5_000 if number == 3 else 180_000,
        )
        for user in ("a", "b")
        for day in range(SESSIONS)
        for number in range(LENGTH)
    ]
    sessions = TrainingData(write_marts(tmp_path / "marts", plays), "held_out", recipe("debug"))
    monkeypatch.setattr(listwise_training, "MID_SESSION_SHARE", 1.0)
    cases, log = sample_past_requests(sessions, "train", 1_000, seed=3), sessions.plays
    row_C = log.offset_U1[cases.user_C] + cases.play_number_C
    for case, (row, position) in enumerate(zip(row_C, row_C - log.session_start_P[row_C], strict=True)):
        rest = [row + step for step in range(LENGTH - position) if position + step != 3]
        assert cases.items["targets"][case].tolist() == log.track_P[rest].tolist()
    assert (cases.request_at_C == log.request_at_P[row_C]).all()
    assert set(row_C - log.session_start_P[row_C]) == set(range(LENGTH))
