"""Training data of the long_short channel: past sessions with the state before them, and windows of events.

Legend: C sessions, B sessions of a batch, M repeat items, T targets of a session.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures, UserBatch
from training.recall.long_short.model import LongShortConfig, RequestBatch
from training.recall.play_archive import plays_in_view
from training.recall.repeat_features import FEATURE_NAMES, PlayTable, candidate_features
from training.recall.sequence_merge import merge_clicks
from training.recall.windows import WindowSampler

DECAY, SKIP = 0.7, 0.3
"""Decay of the activation that repeat items are chosen by, and the weight of a skip relative to a listen."""


@dataclass(frozen=True)
class SessionBatch:
    """B sessions.

    `requests`: the requests at their beginning. `is_repeated_BM`: whether a repeat item was listened to in the session.
    `target_BT`: some of the listens of the session, 0 = none. `is_new_BT`: whether a target was new to the user.
    """

    requests: RequestBatch
    is_repeated_BM: Tensor
    target_BT: Tensor
    is_new_BT: Tensor


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
        merged.columns["behaviour"],
        merged.columns["gap"],
        merged.length_B,
        np.where(merged.length_B > 0, users.request_at_B - ended_B, 0),
    )
    repeats = (pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True) for rows in (items, features))
    return RequestBatch(*(torch.from_numpy(column) for column in columns), *repeats)


class SessionSampler:
    """Random batches of sessions of the `train` part, and the `windows` of events beside them.

    A batch depends on (seed, step) only.

    A user is drawn with probability proportional to sessions ** `user_sampling_exponent`, then one of the user's
    sessions uniformly: evaluation weights users equally, the log does not. Sessions with fewer than `min_history_plays`
    plays before them carry little information and are left out.
    """

    def __init__(self, data: TrainingData, config: LongShortConfig, service: str) -> None:
        self.data, self.config, self.service, sampling = data, config, service, config.sampling
        self.windows = WindowSampler(
            data, config.encoder.history_length, sampling.horizon, sampling.user_sampling_exponent
        )
        self.count_V = self.windows.count_V
        cases = data.recall_cases("train")
        self.cases: RecallCases = cases.take(np.flatnonzero(cases.play_number_C >= config.sampling.min_history_plays))
        self.offline = OfflineFeatures(data)
        _, self.first_U, self.count_U = np.unique(self.cases.user_C, return_index=True, return_counts=True)
        weight_U = self.count_U**config.sampling.user_sampling_exponent
        self.probability_U = weight_U / max(weight_U.sum(), 1e-12)

    def __len__(self) -> int:
        """C: number of sessions."""
        return len(self.cases)

    def steps(self, passes: float, batch: int) -> int:
        """Steps of `batch` sessions that read `passes` times as many sessions as there are."""
        return math.ceil(passes * len(self) / batch)

    def sessions(self, seed: int, step: int, batch: int) -> SessionBatch:
        """The `batch` sessions of a step."""
        generator = np.random.default_rng((seed, step))
        user_B = generator.choice(len(self.first_U), size=batch, p=self.probability_U)
        case_B = self.first_U[user_B] + (generator.random(batch) * self.count_U[user_B]).astype(np.int64)
        # Sorted because neighboring cases share their history in memory; the order within a batch is irrelevant.
        case_B.sort()
        T = self.config.sampling.targets_per_session
        sampled = [generator.permutation(self.cases.items["targets"][case])[:T] for case in case_B]
        cases = self.cases.take(case_B)
        users = self.offline.load_user_batch(self.service, cases.user_ids.tolist(), cases.request_at_C)
        requests = build_requests(users, self.config, self.data.vocabulary.artist_of_track_V)
        is_repeated = np.zeros(requests.repeat_item_BM.shape, dtype=bool)
        target_BT, is_new_BT = np.zeros((batch, T), dtype=np.int64), np.zeros((batch, T), dtype=bool)
        for row, targets in enumerate(sampled):
            all_targets, new_targets = cases.items["targets"][row], cases.items["reachable"][row]
            is_repeated[row] = np.isin(requests.repeat_item_BM[row].numpy(), all_targets)
            target_BT[row, : len(targets)], is_new_BT[row, : len(targets)] = targets, np.isin(targets, new_targets)
        return SessionBatch(
            requests, torch.from_numpy(is_repeated), torch.from_numpy(target_BT), torch.from_numpy(is_new_BT)
        )
