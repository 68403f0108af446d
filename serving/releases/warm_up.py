"""Warm-up of a release before it serves: every part must work, for an unknown user and for one with a history.

The pipeline leaves a failing part out of a response; here a failure rejects the release. The warm-up also makes the first
real request as fast as later ones.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from recommender.slate.candidate_table import CandidateTable
from recommender.slate.filters import FilterContext, apply_filters
from recommender.slate.scene_settings import CANDIDATES_PER_CHANNEL, MAX_RANKED_CANDIDATES, SCENES, Scene
from recommender.slate.slots import Slots
from recommender.user.exclusions import Exclusions
from recommender.user.user_batch import UserBatch, user_batch_from_online
from sequences.sequence_views import SEQUENCE_VIEWS, SequenceView
from serving.pipeline.stages.recall import Recall, WarmUpFailed
from serving.releases.served_release import ServedRelease

SYNTHETIC_TRACK_US = 200_000_000
SYNTHETIC_HISTORY_LENGTH = 20
SYNTHETIC_QUERY = "calm warmup"  # the second word is not understood, so that the encoder is used, too


def warm_up(release: ServedRelease, now_us: int, recall: Recall) -> None:
    """Call every part of the release for two synthetic users.

    Raises:
        WarmUpFailed: A channel, the fusion, the ranker, the selection or the search raises, or no candidate passes the filters.
    """
    scene, times = next(iter(SCENES.values())), np.array([now_us], dtype=np.int64)
    served = np.flatnonzero(release.catalog.is_served_V)[:SYNTHETIC_HISTORY_LENGTH]
    tracks = [str(release.vocabulary.track_ids_V[item]) for item in served]
    for history in ([], tracks):
        sequences = {name: _rows(view, history, now_us) for name, view in SEQUENCE_VIEWS.items()}
        users = user_batch_from_online(
            release.vocabulary, release.contract, ["warm-up"], times, sequences=[sequences], scenes=[scene.name]
        )
        _check_release(release, users, scene, recall)
    _check_search(release, now_us)


def _check_release(release: ServedRelease, users: UserBatch, scene: Scene, recall: Recall) -> None:
    found, now_us = recall.warm(release, users, CANDIDATES_PER_CHANNEL), int(users.request_at_B[0])
    part = "fusion"
    try:
        fused = release.fusion.fuse(CandidateTable.merge(found, users.history_items), [scene.name])
        shown = FilterContext(release.catalog, Exclusions(), release.vocabulary.track_code, now_us)
        fused = fused.take(apply_filters(fused.item_C, shown)[0][:MAX_RANKED_CANDIDATES])
        part = "ranker"
        if release.ranker is not None and len(fused):
            probabilities = release.ranker.score(users, fused.item_C[None, :])
            if not np.isfinite(release.blend.heads.score(probabilities, scene.name)).all():
                raise ValueError("some of its scores are not finite")
        part = "selection"
        Slots.of(fused, release.catalog, scene, 1, 0.0, release.blend.diversity).select(fused)
    except Exception as error:
        raise WarmUpFailed(f"release {release.release_id} fails in {part}: {error}") from error
    if not len(fused):
        raise WarmUpFailed(f"release {release.release_id} has no candidates that may be shown; is its catalog empty?")


def _check_search(release: ServedRelease, now_us: int) -> None:
    try:
        release.search.search(SYNTHETIC_QUERY, 1, datetime.fromtimestamp(now_us / 1e6, UTC).date())
    except Exception as error:
        raise WarmUpFailed(f"release {release.release_id} fails in search: {error}") from error


def _rows(view: SequenceView, tracks: list[str], now_us: int) -> dict[str, list[Any]]:
    """Rows of one play per track, a few minutes apart, the last one ending now."""
    behavior = view.behaviors[0]
    ends = [now_us - SYNTHETIC_TRACK_US * (len(tracks) - place) for place in range(len(tracks))]
    columns: dict[str, list[Any]] = {
        "event_id": [f"warm-up-{place}" for place in range(len(tracks))],
        "target_type": ["track"] * len(tracks),
        "target_id": list(tracks),
        "track_id": list(tracks),
        "behavior": [behavior] * len(tracks),
        "occurred_at": [end - SYNTHETIC_TRACK_US for end in ends],
        "ended_at": ends,
        "sequence_number": list(range(len(tracks))),
        "played_ratio": [1.0] * len(tracks),
        "scene": [""] * len(tracks),
    }
    return {name: columns[name] for name in view.attribute_names}
