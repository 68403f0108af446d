"""Plays of the log as channels store them."""

from __future__ import annotations

import numpy as np

from recommender.recall.play_archive import FULL_PLAY, PlayArchive
from training.data.plays import PARTS
from training.data.training_data import TrainingData


def archive_plays(data: TrainingData, parts: tuple[str, ...] = ("train",)) -> PlayArchive:
    """The plays of some parts of the data."""
    plays = data.plays
    rows = np.flatnonzero(np.isin(plays.part_P, [PARTS.index(part) for part in parts]))
    count_U = np.bincount(plays.user_P[rows], minlength=len(data.user_ids_U))
    outcome_P = plays.is_listened_P[rows].astype(np.int8)
    outcome_P[plays.is_full_play_P[rows]] = FULL_PLAY
    return PlayArchive(
        tuple(str(user) for user in data.user_ids_U),
        np.concatenate([[0], np.cumsum(count_U)]).astype(np.int64),
        plays.track_P[rows].astype(np.int32),
        plays.known_at_P[rows],
        outcome_P,
        plays.play_number_P[plays.session_start_P[rows]],
    )
