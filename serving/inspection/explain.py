"""Explanation of one track for a user: which channels find it now, each one's reason, and what the ranker expects.

Independent of HTTP.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serving.pipeline.response import true_reason
from serving.releases.track_details import TrackDetails, track_details
from training.recall.reason import Reason, ReasonParameter

if TYPE_CHECKING:
    from serving.pipeline.stages.recall import Recall
    from serving.pipeline.user_state import UserState
    from serving.releases.served_release import ServedRelease
    from training.recall.channel import Candidates

CANDIDATES = 200  # of each channel, as many as a request fuses
PATH_CODE = "listens_to_path"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChannelFinding:
    """A channel that finds the track: its rank among the channel's candidates, from 1, and the channel's reason."""

    name: str
    rank: int
    reason: Reason | None


@dataclass(frozen=True)
class GraphStep:
    """A step in the music graph: how `node` is connected with the node before; the first one is listened to."""

    relation: ReasonParameter
    node: ReasonParameter


@dataclass(frozen=True)
class Explanation:
    """Why a track suits a user, by one release. `channels` best rank first; `tasks`: ranking task → probability."""

    track: TrackDetails
    channels: list[ChannelFinding]
    tasks: dict[str, float]
    graph: list[GraphStep]


def explain(item: int, user: UserState, scene: str, release: ServedRelease, recall: Recall) -> Explanation:
    """The explanation of an item for a user in a scene. Parts that fail are empty."""
    found = recall.recall_for_users(release, user.users, CANDIDATES).candidates
    ranks = {name: rank for name, candidates in found.items() if (rank := _rank(candidates, item))}
    reasons = recall.reasons(release, user.users, {name: [item] for name in ranks})
    channels = [
        ChannelFinding(name, rank, true_reason(reasons[name][0], item, release) if name in reasons else None)
        for name, rank in sorted(ranks.items(), key=lambda pair: pair[1])
    ]
    graph = next((steps for one in channels if (steps := _graph_steps(one.reason))), [])
    return Explanation(track_details(release, item), channels, _tasks(item, user, scene, release), graph)


def _rank(candidates: Candidates, item: int) -> int:
    places = np.flatnonzero(candidates.items_BK[0, :CANDIDATES] == item)
    return int(places[0]) + 1 if len(places) else 0


def _tasks(item: int, user: UserState, scene: str, release: ServedRelease) -> dict[str, float]:
    if release.ranker is None:
        return {}
    try:
        scores = release.ranker.score(user.in_scene(scene), np.array([[item]], dtype=np.int64))
    except Exception:
        logger.exception("the ranker failed to score a track")
        return {}
    return {task: round(float(np.asarray(values).reshape(-1)[0]), 4) for task, values in scores.items()}


def _graph_steps(reason: Reason | None) -> list[GraphStep]:
    if reason is None or reason.code != PATH_CODE:
        return []
    steps = [GraphStep("", reason.parameters["start"])]
    phrases = reason.parameters["steps"]
    for phrase in phrases if isinstance(phrases, tuple) else ():
        if isinstance(phrase, Reason):
            before = steps[-1].node
            ends = [phrase.parameters[end] for end in ("x", "y") if end in phrase.parameters]
            steps.append(GraphStep(phrase, next((end for end in reversed(ends) if end != before), before)))
    return steps
