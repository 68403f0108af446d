"""Fit of the long_short channel: past sessions with the state before them, and windows of events.

Legend: C sessions, B sessions of a batch, M repeat items, T targets of a session.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from config.dataclass_io import change_config
from recommender.recall.long_short.channel import LongShort, merge_lists
from recommender.recall.long_short.program import LongShortConfig
from training.data.offline_features import OfflineFeatures
from training.data.recall_cases import RecallCases, validation_objective
from training.data.training_data import TrainingData
from training.networks.long_short import LongShortNetwork, RequestBatch, build_requests
from training.recall.neural import ValidationSet, fit_network
from training.recall.windows import ChannelObjective, WindowLoss, WindowSampler

NORMALIZATION_BATCHES = 8


def fit(data: TrainingData, config: LongShortConfig, folder: Path) -> LongShort:
    """See `fit_network`; with `data.held_out_model`, its network with the present catalog."""
    if data.held_out_model is not None:
        channel = LongShort.load(data.held_out_model, data.vocabulary)
        channel.catalog = np.flatnonzero(data.catalog_V)
        channel.rebuild_index()
        return channel
    examples = SessionSampler(data, config)

    def objective(network: LongShortNetwork, config: LongShortConfig) -> SessionLoss:
        steps = range(NORMALIZATION_BATCHES)
        batches = [examples.sessions(config.seed + 1, step, config.sampling.batch).requests for step in steps]
        network.fit_normalization(torch.cat([one.feature_BMF[one.repeat_item_BM > 0] for one in batches]))
        return SessionLoss(network, config, examples, data.catalog_V)

    tune = _choose_discovery_share
    return fit_network(LongShort, LongShortNetwork, data, config, folder, examples, objective, tune=tune)


def _choose_discovery_share(channel: LongShort, validation: ValidationSet | None) -> dict[str, Any]:
    """Choose `discovery_share` from its grid by validation recall, unless the config gives it."""
    config = channel.resolved_config
    channel.resolved_config = change_config(config, {"discovery_share": channel.discovery_share})
    if config.discovery_share is not None or validation is None:
        return {}
    channel.rebuild_index()
    k = max(validation.cutoffs)
    found = [channel.candidate_lists(users, k) for users in validation.batches]
    tables = {
        share: validation.recall_table([merge_lists(lists, share, k) for lists in found])
        for share in config.discovery_share_grid
    }
    best = max(tables, key=lambda share: (round(validation_objective(tables[share], validation.cutoffs), 6), -share))
    channel.resolved_config = change_config(config, {"discovery_share": best})
    return {"validation": tables[best], "new_shares": {str(share): table for share, table in tables.items()}}


class SessionLoss(ChannelObjective):
    """Repeat loss plus `item_weight` times two item losses.

    The repeat loss is a softmax over the repeat items. The item losses are a sampled softmax of the session's targets
    with the gated interest as the query, and the window loss of the short-term encoder, as in the realtime channel.
    """

    def __init__(
        self, network: LongShortNetwork, config: LongShortConfig, sessions: SessionSampler, is_item_V: np.ndarray
    ) -> None:
        self.network: LongShortNetwork = network
        self.config: LongShortConfig = config
        self._sessions, self._windows = sessions, WindowLoss(network.short, config, sessions.windows, is_item_V)

    def batch_at(self, step: int) -> tuple[SessionBatch, dict[str, Tensor]]:
        """The sessions and windows of a step."""
        sessions = self._sessions.sessions(self.config.seed, step, self.config.sampling.batch)
        return sessions, self._windows.batch_at(step)

    def training_step(self, batch: tuple[SessionBatch, dict[str, Tensor]], _: int) -> Tensor:
        """Sum of the losses."""
        sessions, windows = batch
        interests = self.network.interests(sessions.requests)
        score_BM = self.network.repeat_scores(sessions.requests, interests)
        item_loss = self._windows.training_step(windows)
        for task, is_target_BT in (("next", sessions.target_BT > 0), ("new", sessions.is_new_BT)):
            row_M, positive_M = torch.nonzero(is_target_BT)[:, 0], sessions.target_BT[is_target_BT]
            if len(positive_M):
                query_MD = self.network.query(task, sessions.requests, interests)[row_M]
                item_loss = item_loss + self._windows.item_loss(task, query_MD, positive_M)
        repeated = repeat_loss(score_BM, sessions.is_repeated_BM)
        return repeated + self.config.loss.item_weight * item_loss


def repeat_loss(score_BM: Tensor, is_repeated_BM: Tensor) -> Tensor:
    """Cross-entropy of a softmax over the repeat items, with the target spread evenly over those that were repeated.

    Mean over the sessions with at least one repeated item; 0 if there is none.
    """
    has_repeat_B = is_repeated_BM.any(-1)
    if not bool(has_repeat_B.any()):
        return score_BM.nan_to_num(neginf=0.0).sum() * 0
    score, is_repeated = score_BM[has_repeat_B], is_repeated_BM[has_repeat_B]
    log_share = score.log_softmax(-1).masked_fill(~is_repeated, 0.0)
    return -(log_share.sum(-1) / is_repeated.sum(-1)).mean()


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


class SessionSampler:
    """Random batches of sessions of the `train` part, and the `windows` of events beside them.

    A batch depends on (seed, step) only.

    A user is drawn with probability proportional to sessions ** `user_sampling_exponent`, then one of the user's
    sessions uniformly: evaluation weights users equally, the log does not. Sessions with fewer than `min_history_plays`
    plays before them carry little information and are left out.
    """

    def __init__(self, data: TrainingData, config: LongShortConfig) -> None:
        self.data, self.config = data, config
        self.windows = WindowSampler(data, config.encoder.history_length, config.sampling)
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
        users = self.offline.load_user_batch(LongShort.feature_service, cases.user_ids.tolist(), cases.request_at_C)
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
