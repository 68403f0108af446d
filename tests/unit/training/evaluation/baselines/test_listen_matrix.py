"""Listening history counted play by play."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.training.evaluation_marts import Play, write
from training.data.training_data import TrainingData
from training.evaluation.baselines.user_plays import UserPlays
from training.recipes import recipe


def test_counts_are_of_earlier_listens(tmp_path: Path) -> None:
    plays = [
        Play("u", 0, "A", 0),
        Play("u", 1, "B", 0, played_ms=5_000),
        Play("u", 2, "C", 1, part="validation"),
        Play("u", 3, "A", 2, part="test"),
        Play("u", 4, "B", 2, part="test"),
        Play("v", 0, "C", 0),
    ]
    data = TrainingData(write(tmp_path, plays, dict.fromkeys("ABC", "one")), "held_out", recipe("debug"))
    history = UserPlays(data, 0)
    assert data.vocabulary.decode(history.tracks_T) == ["A", "B", "C"]
    expected = [[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 1], [2, 0, 1], [2, 1, 1], [2, 1, 1]]
    assert history.listen_counts(np.array([0, 1, 2, 3, 4, 5, 9])).tolist() == expected
    assert history.listen_counts(np.array([3, 3, 5])).tolist() == [expected[3], expected[3], expected[5]]
