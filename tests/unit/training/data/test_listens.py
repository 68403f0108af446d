from __future__ import annotations

import numpy as np

from sequences import behaviours
from sequences.batch import SequenceBatch
from training.data.listens import select_listens

CODE = behaviours.load_behaviours().encoder


def test_skips_are_left_out_and_the_rest_moves_up() -> None:
    played = [["full_play", "skip", "play"], ["skip", "skip"], ["play"], []]
    behaviour, track = np.zeros((4, 3), dtype=np.int64), np.zeros((4, 3), dtype=np.int64)
    for row, names in enumerate(played):
        behaviour[row, : len(names)] = [CODE[name] for name in names]
        track[row, : len(names)] = np.arange(len(names)) + 10 * row + 2
    history = SequenceBatch({"track_id": track, "behaviour": behaviour}, np.array([3, 2, 1, 0]))
    found = select_listens(history)
    assert found.columns["track_id"].tolist() == [[2, 4, 0], [0, 0, 0], [22, 0, 0], [0, 0, 0]]
    assert found.columns["behaviour"].tolist()[0] == [CODE["full_play"], CODE["play"], 0]
    assert found.length_B.tolist() == [2, 0, 1, 0]
    assert track[0].tolist() == [2, 3, 4]
