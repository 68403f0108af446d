"""Requests that might have been made in the past: at the beginning of a session or in its midst, and what was listened to
from then on.

What a slate should have held, for a head that learns from whole requests. A slate is asked for at the beginning of a
session and, by who has heard it out, within one; a head that knew beginnings only would take what was heard a minute
ago for what was heard in the session before. Knows nothing about candidates.
"""

from __future__ import annotations

import numpy as np

from training.data.plays import PARTS
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData

MID_SESSION_SHARE = 0.5
"""The share of sessions that are asked for in their midst, each at one of its plays."""


def sample_past_requests(data: TrainingData, part: str, most: int, seed: int) -> RecallCases:
    """About `most` of the sessions of a part, the newest of every user and the same share of each; where something more was
    listened to.
    """
    plays = data.plays
    begins = np.unique(plays.session_start_P)
    ends = np.append(begins[1:], len(plays))
    is_in_part = plays.part_P[begins] == PARTS.index(part)
    begins, ends = begins[is_in_part], ends[is_in_part]
    if not len(begins):
        return data.recall_cases_from_rows(begins)
    first, count = np.unique(plays.user_P[begins], return_index=True, return_counts=True)[1:]
    kept = np.ceil(count * min(1.0, most / len(begins))).astype(np.int64)
    position = np.arange(len(begins)) - np.repeat(first, count)
    rows = np.flatnonzero(position >= np.repeat(count - kept, count))
    begins, ends = begins[rows], ends[rows]
    random = np.random.default_rng(seed)
    is_within, place = random.random(len(rows)) < MID_SESSION_SHARE, random.random(len(rows))
    return data.recall_cases_from_rows(np.where(is_within, begins + (place * (ends - begins)).astype(np.int64), begins))
