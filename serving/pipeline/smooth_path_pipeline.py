"""Pipeline of requests for a path between two tracks: hydrate ▸ recall ▸ filter ▸ select ▸ side effects.

The candidates are the items near the arc between the vectors of both tracks; `recommender.slate.smooth_path` chooses among
those that pass the filters. Independent of HTTP.
"""

from __future__ import annotations

import numpy as np

from recommender.recall.multi_interest.channel import MultiInterest
from recommender.recall.realtime import Realtime
from recommender.recall.reason import Reason, track_phrase
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.filters import FilterContext, apply_filters
from recommender.slate.smooth_path import find_smooth_path
from serving.errors import NoItemVectors, NotReady, RequestRejected
from serving.pipeline.pipeline import Answer, Pipeline, encode_tracks
from serving.pipeline.request import Request
from serving.pipeline.response import Trace, build_items
from serving.pipeline.stages.select import find_unspaced
from serving.pipeline.user_state import filter_context
from serving.releases.served_release import ServedRelease

VECTOR_CHANNELS = (Realtime.name, MultiInterest.name)
"""Channels with item vectors, the preferred one first."""
ITEMS_PER_POINT = 64


class PathPipeline(Pipeline):
    """Finds tracks that lead smoothly from one track to another."""

    def answer(self, request: Request, release: ServedRelease, trace: Trace) -> Answer:
        """A path of `request.limit` tracks between both seeds, in order; shorter if too few tracks may be played.

        The score of a track is the cosine between its vector and the vector of the track before; 1 for the first.

        Raises:
            UnknownTrack: The release does not have one of the seeds.
            RequestRejected: One of the seeds may not be played.
            NoItemVectors: The release has no channel with item vectors.
            NotReady: The channel failed.
        """
        channel = next((name for name in VECTOR_CHANNELS if name in release.channels), None)
        if channel is None:
            raise NoItemVectors(
                f"release {release.release_id} has no channel with item vectors; train {' or '.join(VECTOR_CHANNELS)}"
            )
        with trace.time_stage("hydrate"):
            ends = encode_tracks(request.seeds, release, "use the id of another track")
            user = self.load_user(request, release, trace)
            context = filter_context(request, release, user, wanted_sounds=ends)
            _check_ends(ends, request, context)
        with trace.time_stage("recall"):
            first, last = (int(item) for item in ends)
            between = self._recall.recall_between(release, channel, first, last, request.limit - 2, ITEMS_PER_POINT)
            if between is None:
                raise NotReady(f"channel {channel} did not respond in time; send the request again")
            items_C, vector_CD = between[0], release.channels[channel].item_vectors(between[0])
            trace.candidates = {channel: len(items_C)}
            trace.fused = len(items_C)
        with trace.time_stage("filter"):
            # The ends passed the filters; in front, they win over other releases of their recordings.
            order_C = np.concatenate([[0, len(items_C) - 1], np.arange(1, len(items_C) - 1)])
            place_C = np.sort(order_C[trace.filter(items_C[order_C], context)])
            trace.ranked = len(place_C)
        with trace.time_stage("select"):
            artist_C = release.catalog.main_artist_V[items_C[place_C]]
            path = place_C[find_smooth_path(vector_CD[place_C], artist_C, request.limit)]
            cosine_L = np.concatenate([[1.0], (vector_CD[path][1:] * vector_CD[path][:-1]).sum(1)])
            row_L = np.zeros(len(path), dtype=np.int64)
            rank_LH = row_L[:, None].astype(np.int32)
            chosen = CandidateTable.of((channel,), 1, row_L, items_C[path], row_L == 0, rank_LH).scored(cosine_L)
            trace.unmet |= find_unspaced(release.catalog, chosen)
            phrases = {name: track_phrase(release.vocabulary, end) for name, end in (("x", first), ("y", last))}
            between_tracks, end = Reason("between_tracks", phrases), Reason("end_of_path")
            reasons = [end if item in (first, last) else between_tracks for item in chosen.item_C.tolist()]
            return Answer(user, build_items(chosen, release, chosen.found_by(), reasons))


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
