"""Pipeline of requests for a path between two tracks: hydrate ▸ recall ▸ filter ▸ select ▸ side effects.

The candidates are the items near the arc between the vectors of both tracks; `training.slate.smooth_path` chooses among
those that pass the filters. Independent of HTTP.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from serving.errors import NoItemVectors, NotReady, RequestRejected
from serving.events.exposure_log import Exposure, hash_features
from serving.observability.metrics import Metrics
from serving.pipeline.exposure_writer import ExposureWriter, write_exposure
from serving.pipeline.request import Request
from serving.pipeline.request_filters import build_filter_context
from serving.pipeline.response import PathReasons, RecommendationResponse, Trace, build_items
from serving.pipeline.stages.fuse import RequestCandidates
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.recall import Recall
from serving.pipeline.stages.select import find_unspaced
from serving.pipeline.track_pipeline import encode_tracks
from serving.releases.served_release import ServedRelease
from training.recall.multi_interest.channel import MultiInterest
from training.recall.realtime.channel import Realtime
from training.slate.filters import FilterContext, apply_filters
from training.slate.smooth_path import find_smooth_path

VECTOR_CHANNELS = (Realtime.name, MultiInterest.name)
"""Channels with item vectors, the preferred one first."""
ITEMS_PER_POINT = 64


class PathPipeline:
    """Composes the stages. Thread-safe: the state of a request is local to its call."""

    def __init__(self, hydrate: Hydrator, recall: Recall, exposures: ExposureWriter, metrics: Metrics) -> None:
        self._hydrator, self._recall, self._exposures, self._metrics = hydrate, recall, exposures, metrics

    def recommend(self, request: Request, release: ServedRelease, is_shown: bool = True) -> RecommendationResponse:
        """A path of `request.limit` tracks between both seeds, in order; shorter if too few tracks may be played.

        The score of a track is the cosine between its vector and that of the track before; 1 for the first.

        Args:
            request: The request.
            release: Release that answers it.
            is_shown: Whether to write the exposure record.

        Raises:
            UnknownTrack: The release does not have one of the seeds.
            RequestRejected: One of the seeds may not be played.
            NoItemVectors: The release has no channel with item vectors.
            NotReady: The channel failed or exceeded the deadline.
        """
        metrics, scene = self._metrics, request.scene
        channel = next((name for name in VECTOR_CHANNELS if name in release.channels), None)
        if channel is None:
            raise NoItemVectors(
                f"release {release.release_id} has no channel with item vectors; train {' or '.join(VECTOR_CHANNELS)}"
            )
        trace = Trace(release.release_id, None)
        with metrics.request_seconds.labels(scene.name, release.release_id).time():
            with trace.time_stage("hydrate", metrics):
                ends = encode_tracks(request.seeds, release, "use the id of another track")
                user = self._hydrator.load_user_state(request, release)
                trace.record_state(user.state_from)
                context = build_filter_context(request, release, user)
                context = replace(context, wanted_sounds=ends)
                _check_ends(ends, request, context)
            with trace.time_stage("recall", metrics):
                first, last = (int(item) for item in ends)
                points = request.limit - 2
                between = self._recall.recall_between(release, channel, first, last, points, ITEMS_PER_POINT)
                if between is None:
                    raise NotReady(f"channel {channel} did not respond in time; send the request again")
                items_C, vector_CD = between.items_BK[0], between.vector_ND
                trace.candidates = {channel: len(items_C)}
                trace.fused = len(items_C)
            with trace.time_stage("filter", metrics):
                place_C = self._playable(items_C, context, trace)
            with trace.time_stage("select", metrics):
                artist_C = release.catalog.main_artist_V[items_C[place_C]]
                path = place_C[find_smooth_path(vector_CD[place_C], artist_C, request.limit)]
                cosine_L = np.concatenate([[1.0], (vector_CD[path][1:] * vector_CD[path][:-1]).sum(1)])
                chosen = RequestCandidates(items_C[path], cosine_L, [[channel] for _ in path])
                trace.unmet |= find_unspaced(release.catalog, chosen)
                reasons = PathReasons(first, last)
                items = build_items(chosen, release, user.users, {}, reasons, self._recall, metrics)
            if is_shown:
                with trace.time_stage("side_effects", metrics):
                    metrics.exposures.labels(scene.name, release.release_id).inc(len(items))
                    if request.user_id:
                        exposure = Exposure(request, release.release_id, hash_features(user.users), items)
                        write_exposure(self._exposures, exposure, trace, metrics)
        return RecommendationResponse(request.request_id, release.release_id, items, trace, request.arm)

    def _playable(self, items_C: np.ndarray, context: FilterContext, trace: Trace) -> np.ndarray:
        """Positions of the candidates that pass the filters, with the first and the last one."""
        # The ends passed the filters; in front, they win over other releases of their recordings.
        order_C = np.concatenate([[0, len(items_C) - 1], np.arange(1, len(items_C) - 1)])
        places, removed = apply_filters(items_C[order_C], context)
        trace.record_removed(removed)
        for name, count in removed.items():
            self._metrics.removed.labels(name).inc(count)
        trace.ranked = len(places)
        kept: np.ndarray = np.sort(order_C[places])
        return kept


def _check_ends(ends: np.ndarray, request: Request, context: FilterContext) -> None:
    for name, track_id, item in zip(("from", "to"), request.seeds, ends, strict=True):
        places, removed = apply_filters(np.array([item]), context)
        if not len(places):
            why = ", ".join(filter_name for filter_name, count in removed.items() if count)
            raise RequestRejected(f"{name} {track_id!r} may not be played (filter {why}); use the id of another track")
    if len(apply_filters(ends, context)[0]) < len(ends):
        raise RequestRejected(
            f"from {request.seeds[0]!r} and to {request.seeds[1]!r} are releases of one recording; give two recordings"
        )
