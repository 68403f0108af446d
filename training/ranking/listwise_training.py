"""Fit of the listwise head: past requests, the channels' candidates for each, and the features of the candidates.

Past requests are sampled at the start of a session, and within it, where the previous slate was played through; their
targets are the listens from then on. Trained on session starts only, the head could not distinguish tracks played a
minute ago from tracks played in the previous session.

The channels were fitted on the same past, so their candidates contain a few more hits than the candidates of future requests.
Their scores, which would reveal the hits, are not used as features.

Legend: P plays, C cases, K candidates, R rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from recommender.nn.trees import PastRequests
from recommender.ranking.features.ranking_features import RankingFeatures
from recommender.ranking.features.track_statistics import further_profile_fields
from recommender.ranking.listwise_head import LambdaMARTConfig, LambdaMARTHead, build_listwise_features
from recommender.ranking.ranker_config import FeatureConfig
from recommender.ranking.target_attention import TargetAttention
from recommender.recall.channel import RecallChannel
from recommender.slate.fusion import Fusion
from training.data.candidate_lists import case_scenes, fuse_candidates, recall_candidates
from training.data.offline_features import OfflineFeatures
from training.data.plays import PARTS
from training.data.recall_cases import RecallCases, row_chunks
from training.data.training_data import TrainingData
from training.process import configure_threads, parallel_map
from training.ranking.case_batches import load_profiles, load_track_statistics
from training.ranking.labeled_cases import newest_rows_per_user

CANDIDATES_PER_REQUEST = 150  # training candidates per request; lower ones hardly ever reach the top of a slate

CASE_BATCH_SIZE = 16

MID_SESSION_SHARE = 0.5  # share of sessions that are sampled at a random play rather than at their start


def fit_listwise_head(
    data: TrainingData, config: LambdaMARTConfig, channels: Mapping[str, RecallChannel]
) -> LambdaMARTHead:
    """The head, fitted on the `train` part and calibrated on `validation` if `data` has one.

    Raises:
        NoTrainingExamples: no past request has a target among its candidates.
    """
    offline = OfflineFeatures(data)
    threads = configure_threads()
    contract = offline.contract(TargetAttention.feature_service)
    reads = FeatureConfig(
        hard_search=True,
        genres=False,
        content=False,
        searches=False,
        plays=0,
        impressions=0,
        profile_fields=further_profile_fields(contract),
    )
    features = RankingFeatures.from_vocabulary(data.vocabulary, load_track_statistics(data), reads)
    train, validation = (
        _build_requests(sample_past_requests(data, part, max_sessions, config.seed), part, offline, features, channels)
        for part, max_sessions in (("train", config.requests), ("validation", config.validation_requests))
    )
    head = LambdaMARTHead.fit(train, validation, config, threads)
    if validation.has_both_classes:
        auc = roc_auc_score(validation.is_target_R, head.trees.predict_rows(validation.features_RN, threads))
        head.measures["validation"] = {"auc": float(auc)}
    return head


def sample_past_requests(data: TrainingData, part: str, max_sessions: int, seed: int) -> RecallCases:
    """About `max_sessions` sessions of a part: of every user the same share, the newest ones.

    Requests after which nothing was listened to are left out.
    """
    plays = data.plays
    begins = np.unique(plays.session_start_P)
    ends = np.append(begins[1:], len(plays))
    is_in_part = plays.part_P[begins] == PARTS.index(part)
    begins, ends = begins[is_in_part], ends[is_in_part]
    rows = newest_rows_per_user(plays.user_P[begins], max_sessions)
    begins, ends = begins[rows], ends[rows]
    random = np.random.default_rng(seed)
    is_mid_session, fraction = random.random(len(rows)) < MID_SESSION_SHARE, random.random(len(rows))
    mid_session = begins + (fraction * (ends - begins)).astype(np.int64)
    return data.recall_cases_from_rows(np.where(is_mid_session, mid_session, begins), data.catalog_V)


def _build_requests(
    cases: RecallCases,
    part: str,
    offline: OfflineFeatures,
    features: RankingFeatures,
    channels: Mapping[str, RecallChannel],
) -> PastRequests:
    """Candidates of every case, fused with default weights, since fusion is tuned later."""
    found = recall_candidates(channels, offline, cases, part)
    fused = fuse_candidates(
        *found, cases, lambda table, scenes: {part: Fusion().fuse(table, scenes).items(CANDIDATES_PER_REQUEST)}
    )
    items_CK = fused[part]
    is_hit_CK, service = cases.items["targets"].contains(items_CK), TargetAttention.feature_service
    offline.preload(service)
    profile = load_profiles(offline, service, cases.user_ids, cases.request_at_C)

    def build_batch(rows: np.ndarray) -> Any:
        batch = cases.take(rows)
        batch_profile = {name: values_C[rows] for name, values_C in profile.items()}
        users = offline.load_user_batch(
            service, batch.user_ids.tolist(), batch.request_at_C, case_scenes(batch), batch_profile
        )
        side = features.prepare_users(users)
        candidates = features.prepare_candidates(side, items_CK[rows])
        return build_listwise_features(side.inputs, candidates, features.reads.user_feature_count)[items_CK[rows] > 0]

    parts = list(parallel_map(build_batch, row_chunks(len(cases), CASE_BATCH_SIZE), f"features {part}"))
    count_C = (items_CK > 0).sum(1)
    features_RF = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
    return PastRequests(features_RF, is_hit_CK[items_CK > 0], count_C[count_C > 0])
