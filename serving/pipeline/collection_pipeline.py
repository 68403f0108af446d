"""Pipeline of requests for playlists or mlogs: hydrate ▸ recall ▸ filter ▸ select ▸ side effects.

Unlike the track pipeline it has a single candidate source, so there is nothing to fuse, and no ranker. If the source fails
or misses the deadline, the most opened collections are returned. Independent of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sequences.sequence_batch import FIRST_CODE
from serving.errors import NoCollections
from serving.events.exposure_log import Exposure, hash_features
from serving.observability.metrics import Metrics
from serving.pipeline.exposure_writer import ExposureWriter, write_exposure
from serving.pipeline.request import Request
from serving.pipeline.request_filters import build_filter_context
from serving.pipeline.response import MlogItem, PlaylistItem, RecommendationResponse, Trace
from serving.pipeline.stages.hydrate import Hydrator, UserState
from serving.pipeline.stages.recall import Recall
from serving.releases.served_release import ServedRelease
from serving.releases.track_details import track_details
from training.data.collections import CollectionIndex
from training.recall.reason import Reason
from training.slate.filters import apply_filters

TRACKS_PER_COLLECTION = 5
MOST_OPENED = Reason("most_opened")
AnyCollectionItem = PlaylistItem | MlogItem


@dataclass(frozen=True)
class _SelectedCollection:
    """A collection of the response."""

    index: int
    items: np.ndarray  # its playable tracks, in order
    score: float
    is_recalled: bool  # False for a collection added for its popularity


class CollectionPipeline:
    """Composes the stages. Thread-safe: the state of a request is local to its call."""

    def __init__(self, hydrate: Hydrator, recall: Recall, exposures: ExposureWriter, metrics: Metrics) -> None:
        self._hydrator, self._recall, self._exposures, self._metrics = hydrate, recall, exposures, metrics

    def recommend(self, request: Request, release: ServedRelease, is_shown: bool = True) -> RecommendationResponse:
        """At most `request.limit` collections of the scene's type, best first.

        Args:
            request: The request.
            release: Release that answers it.
            is_shown: Whether to write the exposure record.

        Raises:
            NoCollections: The release has none.
        """
        metrics, scene = self._metrics, request.scene
        index = release.collection_indexes.get(scene.item_type)
        if index is None or len(index.collections) <= FIRST_CODE:
            raise NoCollections(
                f"release {release.release_id} has no {scene.item_type}; land and train some, or request another scene"
            )
        trace = Trace(release.release_id, None)
        with metrics.request_seconds.labels(scene.name, release.release_id).time():
            with trace.time_stage("hydrate", metrics):
                user = self._hydrator.load_user_state(request, release)
                trace.record_state(user.state_from)
            with trace.time_stage("recall", metrics):
                recalled = self._recall.recall_for_users(
                    release, user.users, scene.candidates_per_channel, [index.name]
                )
                trace.record_recall(recalled)
                found = recalled.candidates.get(index.name)
                items, scores = (
                    (found.items_BK[0], found.scores_BK[0]) if found is not None else (np.zeros(0, int), np.zeros(0))
                )
                trace.fused = int((items > 0).sum())
            with trace.time_stage("filter", metrics):
                selected = list(self._select(items, scores, index, user, request, release, trace))
            with trace.time_stage("select", metrics):
                response_items = self._items(selected, index, user, release)
            if is_shown:
                with trace.time_stage("side_effects", metrics):
                    metrics.exposures.labels(scene.name, release.release_id).inc(len(response_items))
                    if request.user_id:
                        exposure = Exposure(request, release.release_id, hash_features(user.users), response_items)
                        write_exposure(self._exposures, exposure, trace, metrics)
        return RecommendationResponse(request.request_id, release.release_id, response_items, trace, request.arm)

    def _select(
        self,
        items: np.ndarray,
        scores: np.ndarray,
        index: CollectionIndex,
        user: UserState,
        request: Request,
        release: ServedRelease,
        trace: Trace,
    ) -> Iterator[_SelectedCollection]:
        """The first candidates that pass the filters, then the most opened collections, up to the limit."""
        score_of = {int(number): float(score) for number, score in zip(items, scores, strict=True) if number > 0}
        excluded = {name for kind, name in user.exclusions.collections if kind == index.collections.kind}
        context = build_filter_context(request, release, user)
        count = 0
        for number in dict.fromkeys([*score_of, *index.popular_K.tolist()]):
            if count == request.limit:
                return
            tracks = index.collections.tracks[number]
            places, _ = apply_filters(tracks, context)
            if index.collections.ids_N[number] in excluded:
                self._count_removed(f"excluded_{index.name}", trace)
            elif not len(places) or (index.requires_all_tracks and len(places) < len(tracks)):
                self._count_removed(f"unplayable_{index.name}", trace)
            else:
                count += 1
                yield _SelectedCollection(number, tracks[places], score_of.get(number, 0.0), number in score_of)

    def _count_removed(self, name: str, trace: Trace) -> None:
        trace.record_removed({name: 1})
        self._metrics.removed.labels(name).inc()

    def _items(
        self, selected: list[_SelectedCollection], index: CollectionIndex, user: UserState, release: ServedRelease
    ) -> list[AnyCollectionItem]:
        recalled = [one.index for one in selected if one.is_recalled]
        reasons: dict[int, Reason] = {}
        if recalled:
            found = self._recall.reasons(release, user.users, {index.name: recalled})
            if index.name in found:
                reasons = dict(zip(recalled, found[index.name], strict=True))
            else:
                self._metrics.skipped.labels(f"reason_{index.name}").inc()
        return [
            _item(one, index, release, reasons.get(one.index) if one.is_recalled else MOST_OPENED) for one in selected
        ]


def _item(
    selected: _SelectedCollection, index: CollectionIndex, release: ServedRelease, reason: Reason | None
) -> AnyCollectionItem:
    collections = index.collections
    name, title = (str(column[selected.index]) for column in (collections.ids_N, collections.titles_N))
    fields: dict[str, Any] = {
        "title": title,
        "score": round(selected.score, 6),
        "channels": [index.name] if selected.is_recalled else [],
        "reason": reason,
        "tracks": [track_details(release, item) for item in selected.items[:TRACKS_PER_COLLECTION].tolist()],
    }
    if collections.kind == "playlist":
        return PlaylistItem(playlist_id=name, **fields)
    return MlogItem(mlog_id=name, **fields)
