"""Training data of the long_short channel: past sessions with the state before them, and windows of events.

Legend: C sessions, B sessions of a batch, M repeat items, T targets of a session.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from recommender.recall.long_short.model import LongShortConfig, RequestBatch
from recommender.recall.play_archive import plays_in_view
from recommender.recall.repeat_features import FEATURE_NAMES, PlayTable, candidate_features
from recommender.recall.sequence_merge import merge_clicks
from recommender.user.user_batch import UserBatch

DECAY, SKIP = 0.7, 0.3
"""Decay of the activation that repeat items are chosen by, and the weight of a skip relative to a listen."""


def repeat_items(
    users: UserBatch, config: LongShortConfig, artist_of_track_V: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each request: the most active tracks of the history view [M] and their features [M, F]."""
    for plays, request_at in zip(plays_in_view(users), users.request_at_B.tolist(), strict=True):
        table = PlayTable.of(plays, request_at, len(artist_of_track_V))
        order_M, activation_T = table.most_active(DECAY, SKIP, config.repeats.max_repeat_items)
        feature_MF = np.zeros((0, len(FEATURE_NAMES)), dtype=np.float32)
        if len(order_M):
            feature_MF = candidate_features(table, order_M, activation_T, artist_of_track_V, SKIP)
        yield table.item_T[order_M], feature_MF


def build_requests(users: UserBatch, config: LongShortConfig, artist_of_track_V: np.ndarray) -> RequestBatch:
    """Input tensors of the network; the same code path in training and serving."""
    merged = merge_clicks(users, config.encoder.history_length)
    last_B = np.maximum(merged.length_B - 1, 0)
    ended_B = merged.columns["ended_at"][np.arange(len(users)), last_B]
    items, features = zip(*repeat_items(users, config, artist_of_track_V), strict=True)
    columns = (
        merged.columns["track_id"],
        merged.columns["behavior"],
        merged.columns["gap"],
        merged.length_B,
        np.where(merged.length_B > 0, users.request_at_B - ended_B, 0),
    )
    repeats = (pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True) for rows in (items, features))
    return RequestBatch(*(torch.from_numpy(column) for column in columns), *repeats)
