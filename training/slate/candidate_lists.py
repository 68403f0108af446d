"""What the channels of a fit say about requests of the past, read as the service would have read it.

Evaluation asks it of held-out sessions, the head `listened` of those it learns from. Legend: C cases, K candidates. Knows
nothing about which channels there are, nor what becomes of the candidates.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.data.ragged import Ragged
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures
from training.data.user_history import USER_HISTORY_VIEWS, concatenate_ragged, unique_history_items
from training.engine.parallel_map import parallel_map
from training.recall.channel import Candidates, RecallChannel
from training.slate.fusion import CANDIDATES_PER_CHANNEL

CASE_BATCH_SIZE = 256


def recall_candidates(
    channels: Mapping[str, RecallChannel], offline: OfflineFeatures, cases: RecallCases, what: str
) -> dict[str, Candidates]:
    """RECALLED candidates of every channel for every case; one bar of progress, named `what`."""
    for channel in channels.values():
        offline.preload(channel.feature_service)

    def of(start: int) -> dict[str, Candidates]:
        some = cases.take(np.arange(start, min(start + CASE_BATCH_SIZE, len(cases))))
        asked = some.user_ids.tolist(), some.request_at_C, case_scenes(some)
        return {
            name: channel.recall(offline.load_user_batch(channel.feature_service, *asked), CANDIDATES_PER_CHANNEL)
            for name, channel in channels.items()
        }

    parts = list(parallel_map(of, range(0, len(cases), CASE_BATCH_SIZE), f"recall {what}"))
    return {name: _concatenate_candidates([part[name] for part in parts]) for name in channels}


def load_case_history(data: TrainingData, cases: RecallCases) -> Ragged:
    """What the user of each case had heard before it, as the request reads it."""
    parts = []
    for start in range(0, len(cases), CASE_BATCH_SIZE):
        some = cases.take(np.arange(start, min(start + CASE_BATCH_SIZE, len(cases))))
        users = some.user_ids.tolist()
        parts.append(
            unique_history_items(
                {view: data.reader(view).read(users, some.request_at_C) for view in USER_HISTORY_VIEWS}
            )
        )
    return concatenate_ragged(parts)


def case_scenes(cases: RecallCases) -> list[str]:
    """The scene of each case, "" where the log names none."""
    return [scene or "" for scene in cases.scenes.tolist()]


def _concatenate_candidates(parts: list[Candidates]) -> Candidates:
    if not parts:
        return Candidates(
            np.zeros((0, CANDIDATES_PER_CHANNEL), dtype=np.int64),
            np.zeros((0, CANDIDATES_PER_CHANNEL), dtype=np.float32),
        )
    return Candidates(np.concatenate([p.items_BK for p in parts]), np.concatenate([p.scores_BK for p in parts]))
