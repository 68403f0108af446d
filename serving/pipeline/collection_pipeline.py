"""The path of a request for playlists or mlogs: hydrate ▸ recall ▸ filter ▸ side effects.

As the path of tracks, but for what is left out: one source finds them, so nothing is fused, and no ranker knows them.
Where the source fails or is late, what is opened most answers. Knows nothing about HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sequences.batch import FIRST_CODE
from serving.events.exposures import Exposure, hash_features
from serving.observability.metrics import Metrics
from serving.pipeline.hydrate import Hydrator, UserState
from serving.pipeline.recall import Recall
from serving.pipeline.request import Request
from serving.pipeline.response import CollectionTrack, MlogItem, PlaylistItem, RecommendationResponse
from serving.pipeline.trace import Trace
from serving.pipeline.track_pipeline import ExposureWriter
from serving.releases.served_release import ServedRelease
from training.data.collections import CollectionIndex
from training.recall.reason import Reason
from training.slate.filters import FilterContext, apply_filters

TRACKS_PER_COLLECTION = 5
MOST_OPENED = Reason("most_opened")
AnyCollectionItem = PlaylistItem | MlogItem

logger = logging.getLogger(__name__)


class NoCollections(LookupError):
    """A scene is of something that the release has none of; the message names both."""


@dataclass(frozen=True)
class _SelectedCollection:
    """A container of the answer, and which of its tracks may be played."""

    index: int
    items: np.ndarray
    score: float
    is_recalled: bool


class CollectionPipeline:
    """Composes the stages. Thread-safe: a request's state lives in its call."""

    def __init__(self, hydrate: Hydrator, recall: Recall, exposures: ExposureWriter, metrics: Metrics) -> None:
        self._hydrator, self._recall, self._exposures, self._metrics = hydrate, recall, exposures, metrics

    def recommend(self, request: Request, release: ServedRelease) -> RecommendationResponse:
        """At most `request.limit` containers of the scene, best first.

        Raises:
            NoContainers: the release has none.
        """
        metrics, scene = self._metrics, request.scene
        shelf = release.collection_indexes.get(scene.item_type)
        if shelf is None or len(shelf.collections) <= FIRST_CODE:
            raise NoCollections(
                f"release {release.release_id} has no {scene.item_type}; land some and train, or ask for another scene"
            )
        trace = Trace(release.release_id, None)
        with metrics.request_seconds.labels(scene.name, release.release_id).time():
            with trace.time_stage("hydrate", metrics):
                user = self._hydrator.load_user_state(request, release)
                trace.state_from = user.state_from
            with trace.time_stage("recall", metrics):
                recalled = self._recall.recall_for_users(
                    release, user.users, scene.candidates_per_channel, [shelf.name]
                )
                trace.record_recall(recalled)
                found = recalled.candidates.get(shelf.name)
                items, scores = (
                    (found.items_BK[0], found.scores_BK[0]) if found is not None else (np.zeros(0, int), np.zeros(0))
                )
                trace.fused = int((items > 0).sum())
            with trace.time_stage("filter", metrics):
                chosen = list(self._select(items, scores, shelf, user, request, release, trace))
            with trace.time_stage("select", metrics):
                shown = self._items(chosen, shelf, user, release)
            with trace.time_stage("side_effects", metrics):
                self._side_effects(request, release, user, shown)
        return RecommendationResponse(request.request_id, release.release_id, shown, trace, request.arm)

    def _select(
        self,
        items: np.ndarray,
        scores: np.ndarray,
        shelf: CollectionIndex,
        user: UserState,
        request: Request,
        release: ServedRelease,
        trace: Trace,
    ) -> Iterator[_SelectedCollection]:
        """The first that may be shown, then of the most opened, until the answer is full."""
        score_of = {int(number): float(score) for number, score in zip(items, scores, strict=True) if number > 0}
        excluded = {name for kind, name in user.exclusions.collections if kind == shelf.collections.kind}
        wanted = request.territory, request.is_explicit_wanted
        nothing = np.zeros(0, dtype=np.int64)
        shown = FilterContext(
            release.catalog, user.exclusions, release.vocabulary.track_code, request.at_us, nothing, *wanted
        )
        count = 0
        for number in dict.fromkeys([*score_of, *shelf.popular_K.tolist()]):
            if count == request.limit:
                return
            tracks = shelf.collections.tracks[number]
            places, _ = apply_filters(tracks, shown)
            if shelf.collections.ids_N[number] in excluded:
                self._count_removed(f"excluded_{shelf.name}", trace)
            elif not len(places) or (shelf.requires_all_tracks and len(places) < len(tracks)):
                self._count_removed(f"unplayable_{shelf.name}", trace)
            else:
                count += 1
                yield _SelectedCollection(number, tracks[places], score_of.get(number, 0.0), number in score_of)

    def _count_removed(self, name: str, trace: Trace) -> None:
        trace.record_removed({name: 1})
        self._metrics.removed.labels(name).inc()

    def _items(
        self, chosen: list[_SelectedCollection], shelf: CollectionIndex, user: UserState, release: ServedRelease
    ) -> list[AnyCollectionItem]:
        recalled = [one.index for one in chosen if one.is_recalled]
        said: dict[int, Reason] = {}
        try:
            if recalled:
                told = self._recall.reasons(release, shelf.name, user.users, recalled)
                said = dict(zip(recalled, told, strict=True))
        except Exception:
            logger.exception("%s give no reason", shelf.name)
            self._metrics.skipped.labels(f"reason_{shelf.name}").inc()
        return [_item(one, shelf, release, said.get(one.index) if one.is_recalled else MOST_OPENED) for one in chosen]

    def _side_effects(
        self, request: Request, release: ServedRelease, user: UserState, items: list[AnyCollectionItem]
    ) -> None:
        self._metrics.exposures.labels(request.scene.name, release.release_id).inc(len(items))
        try:
            self._exposures.write(Exposure(request, release.release_id, hash_features(user.users), items))
        except OSError:
            # An answer without its record is worth more than no answer; the count says how many are missing.
            logger.exception("the exposure record of %s could not be written", request.request_id)
            self._metrics.skipped.labels("exposures").inc()


def _item(
    chosen: _SelectedCollection, shelf: CollectionIndex, release: ServedRelease, reason: Reason | None
) -> AnyCollectionItem:
    name, title = (str(column[chosen.index]) for column in (shelf.collections.ids_N, shelf.collections.titles_N))
    catalogue, track_ids_V = release.catalog, release.vocabulary.track_ids_V
    words: dict[str, Any] = {
        "title": title,
        "score": round(chosen.score, 6),
        "channels": [shelf.name] if chosen.is_recalled else [],
        "reason": reason,
        "tracks": [
            CollectionTrack(
                str(track_ids_V[item]),
                catalogue.titles_V[item],
                catalogue.artist_names_V[item],
                int(catalogue.duration_ms_V[item]),
                catalogue.audio_urls_V[item] or None,
            )
            for item in chosen.items[:TRACKS_PER_COLLECTION].tolist()
        ],
    }
    return (
        PlaylistItem(playlist_id=name, **words)
        if shelf.collections.kind == "playlist"
        else MlogItem(mlog_id=name, **words)
    )
