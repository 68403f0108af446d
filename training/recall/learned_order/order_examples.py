"""Training examples of a learned order: a channel's candidates for past requests, their features, and the targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Protocol

import numpy as np

from training.data.recall_cases import RecallCases, iterate_chunks
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures, UserBatch
from training.recall.learned_order.candidate_order import OrderExamples


class FeaturedChannel(Protocol):
    """A channel with features of its candidates."""

    feature_service: ClassVar[str]

    def candidate_features(self, users: UserBatch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each request: the candidates that the order applies to, by activation, and their features [C, F]."""


def build_examples(
    channel: FeaturedChannel, cases: RecallCases, data: TrainingData, kind: str, feature_names: Sequence[str]
) -> OrderExamples:
    """The candidates of the requests with their features; requests without a target among them teach nothing.

    Args:
        channel: The channel.
        cases: Past requests.
        data: The data of the requests.
        kind: Kind of targets.
        feature_names: Names of the features.
    """
    features, targets, counts = [], [], []
    offline = OfflineFeatures(data)
    for rows in iterate_chunks(len(cases)):
        chunk = cases.take(rows)
        users = offline.load_user_batch(channel.feature_service, chunk.user_ids.tolist(), chunk.request_at_C)
        for row, (item_C, features_CF) in enumerate(channel.candidate_features(users)):
            is_target_C = np.isin(item_C, chunk.items[kind][row])
            if is_target_C.any():
                features.append(features_CF)
                targets.append(is_target_C)
                counts.append(len(item_C))
    if not counts:
        return OrderExamples(np.zeros((0, 0), np.float32), np.zeros(0, bool), np.zeros(0, np.int64))
    return OrderExamples(
        np.concatenate(features), np.concatenate(targets), np.array(counts, dtype=np.int64), feature_names
    )
