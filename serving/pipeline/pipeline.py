"""What the pipelines of all kinds of requests share: timing, exposures, metrics."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from event_store.store import ServingState
from recommender.user.user_batch import UserBatch
from serving.errors import UnknownTrack
from serving.observability.metrics import Metrics
from serving.pipeline.request import Request
from serving.pipeline.response import RecommendationResponse, ResponseItem, Trace
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.recall import Recall, RecallResult
from serving.pipeline.user_state import UserState
from serving.releases.served_release import ServedRelease

MAX_NAMED_TRACKS = 10
EXPOSURES_FAILED = "the exposure record was not written"


@dataclass(frozen=True)
class Answer:
    """The items of a response, and the user who gets them."""

    user: UserState
    items: Sequence[ResponseItem]


class Pipeline(ABC):
    """Stages that answer one kind of request from one release, which it holds from start to end. Independent of HTTP.

    Thread-safe: the state of a request is local to its call.

    Args:
        hydrator: Reads users.
        recall: Finds candidates.
        state: Keeps exposures and daily lists; of a process that shows and keeps nothing, it is only read.
        metrics: Metrics of the service.
    """

    def __init__(self, hydrator: Hydrator, recall: Recall, state: ServingState, metrics: Metrics) -> None:
        self._hydrator, self._recall, self._state, self._metrics = hydrator, recall, state, metrics

    @abstractmethod
    def answer(self, request: Request, release: ServedRelease, trace: Trace) -> Answer:
        """At most `request.limit` items, best first; nothing is recorded."""

    def recommend(
        self, request: Request, release: ServedRelease, is_shown: bool = True, is_kept: bool = False
    ) -> RecommendationResponse:
        """The response to a request.

        Args:
            request: The request.
            release: Release that answers it.
            is_shown: Whether to write the exposure record and the daily list.
            is_kept: Whether to write the daily list even if it is not shown.

        Raises:
            UnknownTrack: The request is about tracks that the release does not have.
            NoCollections, NoItemVectors: The release lacks what the scene needs.
        """
        trace, began = Trace(release.release_id), time.perf_counter()
        try:
            answer = self.answer(request, release, trace)
            if is_shown or is_kept:
                with trace.time_stage("side_effects"):
                    self.record(request, release, answer, trace, is_shown)
        finally:
            trace.count(request.scene.name, time.perf_counter() - began, self._metrics)
        is_known = answer.user.is_known if request.user_id else None
        shown_by = response_release(answer.items, release)
        return RecommendationResponse(request.request_id, shown_by, answer.items, trace, request.arm, is_known)

    def record(
        self, request: Request, release: ServedRelease, answer: Answer, trace: Trace, is_shown: bool = True
    ) -> None:
        """Count exposures, and write the exposure record of a user. A response without it is better than no response."""
        if not is_shown:
            return
        self._metrics.child(self._metrics.exposures, request.scene.name, release.release_id).inc(len(answer.items))
        if not request.user_id or not answer.items:
            return
        users = answer.user.users
        features_hash = users.get_or_compute(hash_features, lambda: hash_features(users))
        try:
            shown_by = response_release(answer.items, release)
            self._state.add_exposure(request.user_id, exposure_record(request, shown_by, features_hash, answer.items))
        except OSError:
            trace.record_failure("exposures", EXPOSURES_FAILED, self._metrics)

    def load_user(self, request: Request, release: ServedRelease, trace: Trace) -> UserState:
        """The state of the request's user."""
        user = self._hydrator.load_user_state(request, release)
        trace.record_state(user.state_from)
        return user

    def recall(self, user: UserState, release: ServedRelease, k: int, sources: Sequence[str]) -> RecallResult:
        """The candidates of these sources, which are kept in the state."""
        missing = [name for name in sources if name not in user.found]
        recalled = self._recall.recall_for_users(release, user.users, k, missing) if missing else RecallResult({}, {})
        user.found.update(recalled.candidates)
        return RecallResult({name: user.found[name] for name in sources if name in user.found}, recalled.left_out)


def exposure_record(
    request: Request, release: str, features_hash: str, items: Sequence[ResponseItem]
) -> dict[str, Any]:
    """The record of a response as it was shown, which ingestion lands as impressions and as a row of the table of exposures.

    `shown_at` is in µs UTC, positions are from 0; items of another release name it.
    """
    return {
        "request_id": request.request_id,
        "user_id": request.user_id,
        "scene": request.scene.name,
        "shown_at": request.at_us,
        "release": release,
        "arm": request.arm or release,
        "features_hash": features_hash,
        "items": [
            {
                "target_type": item.target[0],
                "target_id": item.target[1],
                "position": position,
                "channels": item.channels,
                "propensity": item.propensity,
                "is_exploration": item.is_exploration,
            }
            | ({"release": item.release} if item.release not in ("", release) else {})
            for position, item in enumerate(items)
        ],
    }


def hash_features(users: UserBatch) -> str:
    """Hash of the model inputs of one request (B = 1), independent of padding; 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, batch in sorted(users.views.items()):
        length = int(batch.length_B[0])
        for attribute, column_BL in sorted(batch.columns.items()):
            digest.update(f"{name}:{attribute}:{length}:".encode())
            digest.update(np.ascontiguousarray(column_BL[0, :length]).tobytes())
    for name, value_B in sorted(users.profile.items()):
        digest.update(f"{name}:".encode() + value_B.tobytes())
    return digest.hexdigest()


def response_release(items: Sequence[ResponseItem], release: ServedRelease) -> str:
    """The release that chose all items: an earlier one if all of them are from an earlier list."""
    releases = {item.release or release.release_id for item in items}
    return releases.pop() if len(releases) == 1 else release.release_id


def encode_tracks(track_ids: Sequence[str], release: ServedRelease, remedy: str) -> np.ndarray:
    """The items of tracks, in order.

    Raises:
        UnknownTrack: The release does not have some of them; the message names up to 10 and the remedy.
    """
    code = release.vocabulary.track_code
    unknown = [track for track in track_ids if track not in code]
    if not unknown:
        return np.array([code[track] for track in track_ids], dtype=np.int64)
    names = ", ".join(repr(track) for track in unknown[:MAX_NAMED_TRACKS])
    more = f" and {len(unknown) - MAX_NAMED_TRACKS} more" if len(unknown) > MAX_NAMED_TRACKS else ""
    are = f"track {names} is" if len(unknown) == 1 else f"tracks {names}{more} are"
    raise UnknownTrack(f"{are} not in release {release.release_id}; {remedy}")
