"""Pipeline of requests for playlists or mlogs: hydrate ▸ recall ▸ filter ▸ select ▸ side effects.

Unlike the track pipeline it has a single candidate source, so there is nothing to fuse, and no ranker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from recommender.catalog.collections import CollectionIndex
from recommender.recall.channel import Candidates
from recommender.recall.reason import Reason
from recommender.slate.filters import apply_filters
from sequences.sequence_batch import FIRST_CODE
from serving.errors import NoCollections
from serving.pipeline.pipeline import Answer, Pipeline
from serving.pipeline.request import Request
from serving.pipeline.response import ResponseItem, Trace, collect_reasons
from serving.pipeline.user_state import UserState, filter_context
from serving.releases.served_release import ServedRelease

TRACKS_PER_COLLECTION = 5
MOST_OPENED = Reason("most_opened")


class CollectionPipeline(Pipeline):
    """Recommends playlists or mlogs; if their source fails or is late, the most opened ones."""

    def answer(self, request: Request, release: ServedRelease, trace: Trace) -> Answer:
        """See `Pipeline.answer`.

        Raises:
            NoCollections: The release has none.
        """
        scene = request.scene
        index = release.collection_indexes.get(scene.item_type)
        if index is None or len(index.collections) <= FIRST_CODE:
            raise NoCollections(
                f"release {release.release_id} has no {scene.item_type}; land and train some, or request another scene"
            )
        with trace.time_stage("hydrate"):
            user = self.load_user(request, release, trace)
        with trace.time_stage("recall"):
            recalled = self.recall(user, release, scene.candidates_per_channel, [index.name])
            trace.record_recall(recalled)
            found = recalled.candidates.get(index.name, Candidates.empty(0))
            scores = dict(zip(found.items_BK[0].tolist(), found.scores_BK[0].tolist(), strict=True))
            score_of = {number: score for number, score in scores.items() if number}
            trace.fused = len(score_of)
        with trace.time_stage("filter"):
            selected = dict(self._select(score_of, index, user, request, release, trace))
        with trace.time_stage("select"):
            found_by = {number: [index.name] if number in score_of else [] for number in selected}
            reasons = collect_reasons(found_by, user, release, self._recall, self._metrics, MOST_OPENED)
            items = []
            for (number, channels), reason in zip(found_by.items(), reasons, strict=True):
                target = index.collections.kind, str(index.collections.ids_N[number])
                details = _details(target, number, selected[number], index, release)
                score = round(score_of.get(number, 0.0), 6)
                items.append(ResponseItem(target, details, score, channels, reason))
        return Answer(user, items)

    def _select(
        self,
        score_of: dict[int, float],
        index: CollectionIndex,
        user: UserState,
        request: Request,
        release: ServedRelease,
        trace: Trace,
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The first candidates that pass the filters, then the most opened collections, up to the limit: their numbers, and their
        playable tracks in order.
        """
        excluded = {name for kind, name in user.exclusions.collections if kind == index.collections.kind}
        context, count = filter_context(request, release, user), 0
        for number in dict.fromkeys([*score_of, *index.popular_K.tolist()]):
            if count == request.limit:
                return
            tracks = index.collections.tracks[number]
            places, _ = apply_filters(tracks, context)
            if index.collections.ids_N[number] in excluded:
                trace.record_removed({f"excluded_{index.name}": 1})
            elif not len(places) or (index.requires_all_tracks and len(places) < len(tracks)):
                trace.record_removed({f"unplayable_{index.name}": 1})
            else:
                count += 1
                yield number, tracks[places]


def _details(
    target: tuple[str, str], number: int, tracks: np.ndarray, index: CollectionIndex, release: ServedRelease
) -> dict[str, Any]:
    """The fields of a collection with these playable tracks."""
    return {
        f"{target[0]}_id": target[1],
        "title": str(index.collections.titles_N[number]),
        "track_count": len(tracks),
        "tracks": [release.details(item) for item in tracks[:TRACKS_PER_COLLECTION].tolist()],
    }
