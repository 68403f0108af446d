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

from training.data.past_requests import sample_past_requests
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures
from training.engine import trainer
from training.engine.parallel_map import parallel_map
from training.ranking.case_batches import load_profiles
from training.ranking.features.ranking_features import RankingFeatures
from training.ranking.fit import load_track_statistics
from training.ranking.listwise_head import LambdaMARTConfig, LambdaMARTHead, ListwiseDataset, build_listwise_features
from training.ranking.target_attention import TargetAttention
from training.recall.channel import RecallChannel
from training.slate.candidate_lists import case_scenes, load_case_history, recall_candidates
from training.slate.fusion import Fusion

CANDIDATES_PER_REQUEST = 150
"""So many of a request are learned from: those behind hardly ever come among the first, whoever orders them."""

CASE_BATCH_SIZE = 16


def fit_listwise_head(
    data: TrainingData, config: LambdaMARTConfig, channels: Mapping[str, RecallChannel]
) -> LambdaMARTHead:
    """The head, learned from the `train` part; its scale is fitted on `validation` where `data` has one.

    Raises:
        NothingToLearn: no past request was answered by any of its candidates.
    """
    offline = OfflineFeatures(data)
    threads = trainer.configure_threads()
    features = RankingFeatures.from_vocabulary(data.vocabulary, load_track_statistics(data), hard_search=True)
    learned, checked = (
        _build_requests(sample_past_requests(data, part, most, config.seed), part, offline, features, channels)
        for part, most in (("train", config.requests), ("validation", config.validation_requests))
    )
    head = LambdaMARTHead.fit(learned, checked, config, threads)
    if checked.has_both_classes:
        auc = roc_auc_score(checked.listened_R, head.logits(checked.features_RN, threads))
        head.measures["validation"] = {"auc": float(auc)}
    return head


def _build_requests(
    cases: RecallCases,
    part: str,
    offline: OfflineFeatures,
    features: RankingFeatures,
    channels: Mapping[str, RecallChannel],
) -> ListwiseDataset:
    """The candidates of every case by default weights of fusion, which are not chosen yet."""
    found = recall_candidates(channels, offline, cases, part)
    items_CK = (
        Fusion()
        .fuse(found, load_case_history(offline.data, cases), CANDIDATES_PER_REQUEST, case_scenes(cases))
        .items_BK
    )
    is_hit_CK, service = cases.items["targets"].contains(items_CK), TargetAttention.feature_service
    offline.preload(service)
    profile = load_profiles(offline, service, cases.user_ids, cases.request_at_C)

    def of(start: int) -> Any:
        rows = np.arange(start, min(start + CASE_BATCH_SIZE, len(cases)))
        some = cases.take(rows)
        told = {name: values_C[rows] for name, values_C in profile.items()}
        users = offline.load_user_batch(service, some.user_ids.tolist(), some.request_at_C, case_scenes(some), told)
        side = features.prepare_users(users)
        return build_listwise_features(side.inputs, features.prepare_candidates(side, items_CK[rows]))[
            items_CK[rows] > 0
        ]

    parts = list(parallel_map(of, range(0, len(cases), CASE_BATCH_SIZE), f"numbers {part}"))
    count_C = (items_CK > 0).sum(1)
    numbers_RN = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
    return ListwiseDataset(numbers_RN, is_hit_CK[items_CK > 0], count_C[count_C > 0])
