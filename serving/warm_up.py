"""The test a release passes before it serves: every part answers, for a user nobody knows and for one with a history.

The request path leaves a failing part out of an answer; here a failure is the end of the release. It also
makes the first real request as fast as the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sequences.definition import SEQUENCE_VIEWS, SequenceView
from serving import fuse
from serving.rank import Ranking
from serving.recall import Recall, WarmUpFailed
from serving.scenes import SCENES, Scene
from serving.served_release import ServedRelease
from training.exclusions import Exclusions
from training.features import UserBatch, from_online
from training.filter import Shown, keep

SONG_US = 200_000_000
HISTORY = 20


def warm_up(release: ServedRelease, now_us: int, recall: Recall, ranking: Ranking) -> None:
    """Ask every part of the release for two synthetic users.

    Raises:
        WarmUpFailed: a channel, the fusion or the ranker raises, or nothing is left to show.
    """
    scene, times = next(iter(SCENES.values())), np.array([now_us], dtype=np.int64)
    served = np.flatnonzero(release.catalogue.is_served_V)[:HISTORY]
    tracks = [str(release.vocabulary.track_ids_V[item]) for item in served]
    for history in ([], tracks):
        sequences = {name: _rows(view, history, now_us) for name, view in SEQUENCE_VIEWS.items()}
        users = from_online(
            release.vocabulary, release.contract, ["warm-up"], times, sequences=[sequences], scenes=[scene.name]
        )
        _answer(release, users, scene, recall, ranking)


def _answer(release: ServedRelease, users: UserBatch, scene: Scene, recall: Recall, ranking: Ranking) -> None:
    found, now_us = recall.warm(release, users, scene.recalled), int(users.request_at_B[0])
    part = "fusion"
    try:
        fused = fuse.fuse(release, scene, users, found)
        shown = Shown(release.catalogue, Exclusions(), release.vocabulary.track_code, now_us)
        fused = fused.take(keep(fused.items_C, shown)[0]).first(scene.ranked)
        part = "ranker"
        if release.ranker is not None and len(fused):
            said = ranking.warm(release, users, fused.items_C)
            if not np.isfinite(release.blend.heads.score(said, scene.name)).all():
                raise ValueError("some of its scores are not finite")
    except Exception as error:
        raise WarmUpFailed(f"release {release.release_id} fails in {part}: {error}") from error
    if not len(fused):
        raise WarmUpFailed(f"release {release.release_id} has nothing to show; is its catalogue empty?")


def _rows(view: SequenceView, tracks: list[str], now_us: int) -> dict[str, list[Any]]:
    """Each track played once, a few minutes apart, the last one just now."""
    behaviour = view.behaviours[0]
    ends = [now_us - SONG_US * (len(tracks) - place) for place in range(len(tracks))]
    known: dict[str, list[Any]] = {
        "event_id": [f"warm-up-{place}" for place in range(len(tracks))],
        "target_type": ["track"] * len(tracks),
        "target_id": list(tracks),
        "track_id": list(tracks),
        "behaviour": [behaviour] * len(tracks),
        "occurred_at": [end - SONG_US for end in ends],
        "ended_at": ends,
        "sequence_number": list(range(len(tracks))),
        "played_ratio": [1.0] * len(tracks),
        "scene": [""] * len(tracks),
    }
    return {name: known[name] for name in view.attribute_names}
