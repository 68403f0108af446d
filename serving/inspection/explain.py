"""Explanation of one track for a user: which channels find it now, each one's reason, and what the ranker expects.

Independent of HTTP.
"""

from __future__ import annotations

import logging

import numpy as np

from recommender.array_types import Ints
from recommender.recall.reason import Reason
from serving.inspection.library import describe_track
from serving.messages import Language, render_parameter, render_reason
from serving.pipeline.response import true_reason
from serving.pipeline.stages.recall import Recall
from serving.pipeline.user_state import UserState
from serving.releases.served_release import ServedRelease
from serving.response_schemas import ChannelExplanation, ExplanationResponse, GraphNode

CANDIDATES = 200  # of each channel, as many as a request fuses
PATH_CODE = "listens_to_path"

logger = logging.getLogger(__name__)


def explain(
    item: int, user: UserState, scene: str, release: ServedRelease, recall: Recall, language: Language
) -> ExplanationResponse:
    """The explanation of an item for a user in a scene. Parts that fail are empty."""
    found = recall.recall_for_users(release, user.users, CANDIDATES).candidates
    ranks = {name: rank for name, items_BK in found.items() if (rank := _rank(items_BK, item))}
    given = recall.reasons(release, user.users, {name: [item] for name in ranks})
    reasons = {
        name: true_reason(given[name][0], item, release) if name in given else None
        for name in sorted(ranks, key=lambda name: ranks[name])
    }
    return ExplanationResponse(
        track=describe_track(release, item),
        channels=[
            ChannelExplanation(name=name, rank=ranks[name], reason=render_reason(reason, language))
            for name, reason in reasons.items()
        ],
        tasks=_tasks(item, user, scene, release),
        graph=next((steps for reason in reasons.values() if (steps := _graph_steps(reason, language))), []),
    )


def _rank(items_BK: Ints, item: int) -> int:
    places = np.flatnonzero(items_BK[0, :CANDIDATES] == item)
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


def _graph_steps(reason: Reason | None, language: Language) -> list[GraphNode]:
    if reason is None or reason.code != PATH_CODE:
        return []
    before = reason.parameters["start"]
    steps = [GraphNode(relation="", node=render_parameter(before, language))]
    phrases = reason.parameters["steps"]
    for phrase in phrases if isinstance(phrases, tuple) else ():
        if isinstance(phrase, Reason):
            ends = [phrase.parameters[end] for end in ("x", "y") if end in phrase.parameters]
            before = next((end for end in reversed(ends) if end != before), before)
            relation = render_reason(phrase, language)
            steps.append(GraphNode(relation=relation, node=render_parameter(before, language)))
    return steps
