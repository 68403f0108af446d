"""Fitting the head `listened`: requests of the past, what the fit's channels find for each, and the candidates' numbers.

The channels have learned from the same past, so their candidates of it hold a few more hits than those of a request to
come; their scores, which would say so, are not read. Legend: C cases, K candidates, N numbers. Knows nothing about which
channels there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from training import trainer
from training.data import TrainingData
from training.evaluation.side_by_side import each
from training.features import OfflineFeatures
from training.fusion import Fusion
from training.past_requests import past_requests
from training.ranking.case_batches import profiles
from training.ranking.features import RankingFeatures
from training.ranking.fit import track_statistics
from training.ranking.listened import Listened, ListenedConfig, Requests, numbers
from training.ranking.target_attention import TargetAttention
from training.recall.channel import RecallChannel
from training.recall_cases import RecallCases
from training.recalled import heard_before, recalled, scenes_of

CANDIDATES = 150
"""So many of a request are learned from: those behind hardly ever come among the first, whoever orders them."""

CASES_AT_ONCE = 16


def fit_listened(data: TrainingData, config: ListenedConfig, channels: Mapping[str, RecallChannel]) -> Listened:
    """The head, learned from the `train` part; its scale is fitted on `validation` where `data` has one.

    Raises:
        NothingToLearn: no past request was answered by any of its candidates.
    """
    offline = OfflineFeatures(data)
    threads = trainer.use_threads()
    features = RankingFeatures.of(data.vocabulary, track_statistics(data), hard_search=True)
    learned, checked = (
        _requests(past_requests(data, part, most, config.seed), part, offline, features, channels)
        for part, most in (("train", config.requests), ("validation", config.checked))
    )
    head = Listened.fit(learned, checked, config, threads)
    if checked.has_both:
        auc = roc_auc_score(checked.listened_R, head.logits(checked.numbers_RN, threads))
        head.measures["validation"] = {"auc": float(auc)}
    return head


def _requests(
    cases: RecallCases,
    part: str,
    offline: OfflineFeatures,
    features: RankingFeatures,
    channels: Mapping[str, RecallChannel],
) -> Requests:
    """The candidates of every case by default weights of fusion, which are not chosen yet."""
    found = recalled(channels, offline, cases, part)
    items_CK = Fusion().fuse(found, heard_before(offline.data, cases), CANDIDATES, scenes_of(cases)).items_BK
    is_hit_CK, service = cases.items["targets"].holds(items_CK), TargetAttention.feature_service
    offline.open(service)
    profile = profiles(offline, service, cases.user_ids, cases.request_at_C)

    def of(start: int) -> Any:
        rows = np.arange(start, min(start + CASES_AT_ONCE, len(cases)))
        some = cases.take(rows)
        told = {name: values_C[rows] for name, values_C in profile.items()}
        users = offline.users(service, some.user_ids.tolist(), some.request_at_C, scenes_of(some), told)
        side = features.users(users)
        return numbers(side.inputs, features.candidates(side, items_CK[rows]))[items_CK[rows] > 0]

    parts = list(each(of, range(0, len(cases), CASES_AT_ONCE), f"numbers {part}"))
    count_C = (items_CK > 0).sum(1)
    numbers_RN = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
    return Requests(numbers_RN, is_hit_CK[items_CK > 0], count_C[count_C > 0])
