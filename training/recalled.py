"""What the channels of a fit say about requests of the past, read as the service would have read it.

Evaluation asks it of held-out sessions, the head `listened` of those it learns from. Legend: C cases, K candidates. Knows
nothing about which channels there are, nor what becomes of the candidates.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.data import TrainingData
from training.evaluation.side_by_side import each
from training.features import OfflineFeatures
from training.fusion import RECALLED
from training.heard import HEARD_VIEWS, heard, joined
from training.ragged import Ragged
from training.recall.channel import Candidates, RecallChannel
from training.recall_cases import RecallCases

CASES_AT_ONCE = 256


def recalled(
    channels: Mapping[str, RecallChannel], offline: OfflineFeatures, cases: RecallCases, what: str
) -> dict[str, Candidates]:
    """RECALLED candidates of every channel for every case; one bar of progress, named `what`."""
    for channel in channels.values():
        offline.open(channel.feature_service)

    def of(start: int) -> dict[str, Candidates]:
        some = cases.take(np.arange(start, min(start + CASES_AT_ONCE, len(cases))))
        asked = some.user_ids.tolist(), some.request_at_C, scenes_of(some)
        return {
            name: channel.recall(offline.users(channel.feature_service, *asked), RECALLED)
            for name, channel in channels.items()
        }

    parts = list(each(of, range(0, len(cases), CASES_AT_ONCE), f"recall {what}"))
    return {name: _joined([part[name] for part in parts]) for name in channels}


def heard_before(data: TrainingData, cases: RecallCases) -> Ragged:
    """What the user of each case had heard before it, as the request reads it."""
    parts = []
    for start in range(0, len(cases), CASES_AT_ONCE):
        some = cases.take(np.arange(start, min(start + CASES_AT_ONCE, len(cases))))
        users = some.user_ids.tolist()
        parts.append(heard({view: data.reader(view).read(users, some.request_at_C) for view in HEARD_VIEWS}))
    return joined(parts)


def scenes_of(cases: RecallCases) -> list[str]:
    """The scene of each case, "" where the log names none."""
    return [scene or "" for scene in cases.scenes.tolist()]


def _joined(parts: list[Candidates]) -> Candidates:
    if not parts:
        return Candidates(np.zeros((0, RECALLED), dtype=np.int64), np.zeros((0, RECALLED), dtype=np.float32))
    return Candidates(np.concatenate([p.items_BK for p in parts]), np.concatenate([p.scores_BK for p in parts]))
