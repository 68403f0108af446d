"""Requests that the learned order of the walk's candidates is fitted on and compared on.

The walk's co-occurrence edges know which tracks a user played in the `train` part. Requests of that part would find
their targets by the user's own later plays. The order is therefore learned from the newest requests of the part, with
a graph that was built from the plays before them.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from training.data.plays import PARTS
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData

TRAIN, VALIDATION, TEST = range(len(PARTS))
CUTOFFS = (20, 50)
"""Numbers of discoveries in a list of 200 between which fusion usually chooses."""


def sample_requests(data: TrainingData, per_user: int, max_requests: int, seed: int) -> RecallCases:
    """Validation requests with a reachable discovery."""
    cases = data.recall_cases("validation")
    return cases.take(np.flatnonzero(cases.items["reachable"].count_C > 0)).sample(per_user, seed, max_requests)


def end_train_earlier(data: TrainingData, fraction: float) -> TrainingData:
    """A copy where the last `fraction` of each user's plays of `train` are `validation`, and all later ones `test`.

    The parts of a user begin at the start of a session. Later plays are no listens, so that none is a target of a session
    that begins in `train`.
    """
    plays = data.plays
    is_train_P = plays.part_P == TRAIN
    count_U = np.bincount(plays.user_P[is_train_P], minlength=len(data.user_ids_U))
    number_P = np.arange(len(plays)) - plays.offset_U1[plays.user_P]
    is_late_P = number_P[plays.session_start_P] >= (1 - fraction) * count_U[plays.user_P]
    part_P = np.where(is_train_P, np.where(is_late_P, VALIDATION, TRAIN), TEST).astype(plays.part_P.dtype)
    earlier = copy.copy(data)
    earlier.__dict__.pop("validation_catalog_V", None)  # cached, and depends on the parts
    earlier.plays = replace(plays, part_P=part_P, is_listened_P=plays.is_listened_P & is_train_P)
    return earlier
