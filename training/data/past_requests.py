"""Sampling of past requests, at the start or in the middle of a session; targets are the listens from then on.

These are training examples of the listwise head, which learns from whole requests. Slates are requested at the start of
a session, and within it when the previous slate was played through. Trained on session starts only, the head could not
distinguish tracks played a minute ago from tracks played in the previous session.
"""

from __future__ import annotations

import numpy as np

from training.data.plays import PARTS
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData

MID_SESSION_SHARE = 0.5
"""Share of sessions that are sampled at a random play rather than at their start."""


def sample_past_requests(data: TrainingData, part: str, max_sessions: int, seed: int) -> RecallCases:
    """About `max_sessions` sessions of a part: of every user the same share, the newest ones.

    Requests after which nothing was listened to are left out.
    """
    plays = data.plays
    begins = np.unique(plays.session_start_P)
    ends = np.append(begins[1:], len(plays))
    is_in_part = plays.part_P[begins] == PARTS.index(part)
    begins, ends = begins[is_in_part], ends[is_in_part]
    if not len(begins):
        return data.recall_cases_from_rows(begins)
    first, count = np.unique(plays.user_P[begins], return_index=True, return_counts=True)[1:]
    sampled = np.ceil(count * min(1.0, max_sessions / len(begins))).astype(np.int64)
    position = np.arange(len(begins)) - np.repeat(first, count)
    rows = np.flatnonzero(position >= np.repeat(count - sampled, count))
    begins, ends = begins[rows], ends[rows]
    random = np.random.default_rng(seed)
    is_mid_session, fraction = random.random(len(rows)) < MID_SESSION_SHARE, random.random(len(rows))
    mid_session = begins + (fraction * (ends - begins)).astype(np.int64)
    return data.recall_cases_from_rows(np.where(is_mid_session, mid_session, begins))
