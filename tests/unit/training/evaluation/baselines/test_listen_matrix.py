"""Listening history counted play by play."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.training.evaluation_marts import Play, write
from training.data.training_data import TrainingData
from training.evaluation.baselines.listen_matrix import ListeningHistory
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
    history = ListeningHistory(data, 0)
    assert data.vocabulary.decode(history.tracks_T) == ["A", "B", "C"]
    expected = [[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 1], [2, 0, 1], [2, 1, 1], [2, 1, 1]]
    assert history.play_counts(np.array([0, 1, 2, 3, 4, 5, 9])).tolist() == expected
    assert history.play_counts(np.array([3, 3, 5])).tolist() == [expected[3], expected[3], expected[5]]
    assert history.count_before(3) == 2
    assert history.listened_mask(2).tolist() == [True, False, True]


def test_a_skip_is_a_first_play(tmp_path: Path) -> None:
    plays = [Play("u", 0, "B", 0, played_ms=5_000), Play("u", 1, "A", 0), Play("u", 2, "B", 1, part="test")]
    data = TrainingData(write(tmp_path, plays, dict.fromkeys("AB", "one")), "held_out", recipe("debug"))
    history = ListeningHistory(data, 0)
    assert data.vocabulary.decode(history.played_tracks_H) == ["A", "B"]
    assert history.first_play_number_H.tolist() == [1, 0]
