"""Training batches of the long_short channel: past sessions with what was known before them and what was listened to.

Legend: C sessions, B of a batch, M remembered tracks, T targets of a session. Knows nothing about networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures, UserBatch
from training.data.user_history import HISTORY_VIEW
from training.recall.long_short.config import LongShortConfig
from training.recall.long_short.model import RequestBatch
from training.recall.repeat_consumption import repeat_consumption_features
from training.recall.sequence_merge import merge_clicks


@dataclass(frozen=True)
class SessionBatch:
    """B sessions: the requests that began them, which remembered tracks came again [B, M], some of what was listened
    to, and whether that was new to the user [B, T] (0: none).
    """

    requests: RequestBatch
    is_repeated_BM: Tensor
    target_BT: Tensor
    is_new_BT: Tensor

    def to(self, device: torch.device) -> SessionBatch:
        """The same on a device."""
        rest = (self.is_repeated_BM, self.target_BT, self.is_new_BT)
        return SessionBatch(self.requests.to(device), *(tensor.to(device) for tensor in rest))


def build_requests(users: UserBatch, config: LongShortConfig, artist_of_track_V: np.ndarray) -> RequestBatch:
    """The same tensors for training and serving."""
    merged = merge_clicks(users, config.length)
    last_B = np.maximum(merged.length_B - 1, 0)
    ended_B = merged.columns["ended_at"][np.arange(len(users)), last_B]
    memory = repeat_consumption_features(
        users.views[HISTORY_VIEW], users.request_at_B, artist_of_track_V, config.max_repeat_items
    )
    columns = (
        merged.columns["track_id"],
        merged.columns["behaviour"],
        merged.columns["gap"],
        merged.length_B,
        np.where(merged.length_B > 0, users.request_at_B - ended_B, 0),
        memory.item_BM,
        memory.feature_BMF,
    )
    return RequestBatch(*(torch.from_numpy(column) for column in columns))


class SessionSampler:
    """Sessions of the `train` part. Batch number (seed, step) is always the same one.

    A user is drawn with probability proportional to sessions ** `balance`, then one of the user's sessions evenly:
    evaluation counts users alike, the log does not. A session with fewer than `least_history` plays before it teaches
    little and is left out.
    """

    def __init__(self, data: TrainingData, config: LongShortConfig, service: str) -> None:
        self.data, self.config, self.service = data, config, service
        cases = data.recall_cases("train")
        self.cases: RecallCases = cases.take(np.flatnonzero(cases.play_number_C >= config.min_history_plays))
        self.offline = OfflineFeatures(data)
        _, self.first_U, self.count_U = np.unique(self.cases.user_C, return_index=True, return_counts=True)
        weight_U = self.count_U**config.user_sampling_exponent
        self.probability_U = weight_U / max(weight_U.sum(), 1e-12)

    def __len__(self) -> int:
        """C."""
        return len(self.cases)

    def sessions(self, seed: int, step: int, batch: int, rows: slice = slice(None)) -> SessionBatch:
        """The `batch` sessions of a step, or some `rows` of them: only of these the past is read."""
        generator = np.random.default_rng((seed, step))
        user_B = generator.choice(len(self.first_U), size=batch, p=self.probability_U)
        case_B = self.first_U[user_B] + (generator.random(batch) * self.count_U[user_B]).astype(np.int64)
        # Neighbours share their history in memory; within a batch the order means nothing.
        case_B.sort()
        chosen = [
            generator.permutation(self.cases.items["targets"][case])[: self.config.targets_per_session]
            for case in case_B
        ]
        cases = self.cases.take(case_B[rows])
        users = self.offline.load_user_batch(self.service, cases.user_ids.tolist(), cases.request_at_C)
        requests = build_requests(users, self.config, self.data.vocabulary.artist_of_track_V)
        batch, T = len(cases), self.config.targets_per_session
        repeated = np.zeros(requests.repeat_item_BM.shape, dtype=bool)
        target_BT, is_new_BT = np.zeros((batch, T), dtype=np.int64), np.zeros((batch, T), dtype=bool)
        for row, some in enumerate(chosen[rows]):
            wanted, new = cases.items["targets"][row], cases.items["reachable"][row]
            repeated[row] = np.isin(requests.repeat_item_BM[row].numpy(), wanted)
            target_BT[row, : len(some)], is_new_BT[row, : len(some)] = some, np.isin(some, new)
        return SessionBatch(
            requests, torch.from_numpy(repeated), torch.from_numpy(target_BT), torch.from_numpy(is_new_BT)
        )
