"""Pipeline of requests for playlists or mlogs: hydrate ▸ recall ▸ filter ▸ select ▸ side effects.

Unlike the track pipeline it has a single candidate source, so there is nothing to fuse, and no ranker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from recommender.array_types import Ints
from recommender.recall.collection_recall import CollectionRecall
from recommender.recall.reason import Reason
from recommender.slate.filters import apply_filters
from recommender.slate.fusion import SCORE_HALF_LIFE
from recommender.slate.scene_settings import CANDIDATES_PER_CHANNEL
from recommender.user.exclusions import NO_ITEMS
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
        source = release.collection_channels.get(scene.item_type)
        if source is None or len(source.collections) <= FIRST_CODE:
            raise NoCollections(
                f"release {release.release_id} has no {scene.item_type}; land and train some, or request another scene"
            )
        with trace.time_stage("hydrate"):
            user = self.load_user(request, release, trace)
        with trace.time_stage("recall"):
            recalled = self.recall(user, release, CANDIDATES_PER_CHANNEL, [source.name])
            trace.record_recall(recalled)
            found = recalled.candidates.get(source.name, NO_ITEMS)
            recalled_N = found[found > 0]
            trace.fused = len(recalled_N)
        with trace.time_stage("filter"):
            selected = dict(self._select(recalled_N, source, user, request, release, trace))
        with trace.time_stage("select"):
            recalled_numbers = set(recalled_N.tolist())
            found_by = {number: [source.name] if number in recalled_numbers else [] for number in selected}
            reasons = collect_reasons(found_by, user, release, self._recall, self._metrics, MOST_OPENED)
            items, kind = [], source.collections.kind
            for place, ((number, channels), reason) in enumerate(zip(found_by.items(), reasons, strict=True)):
                target = kind, str(source.collections.ids_N[number])
                details = _details(target, number, selected[number], source, release)
                score = round(SCORE_HALF_LIFE / (SCORE_HALF_LIFE + place), 6)
                items.append(ResponseItem(target, details, score, channels, reason))
        return Answer(user, items)

    def _select(
        self,
        recalled_N: Ints,
        source: CollectionRecall,
        user: UserState,
        request: Request,
        release: ServedRelease,
        trace: Trace,
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The first candidates that pass the filters, then the most opened collections, up to the limit: their numbers, and their
        playable tracks in order.
        """
        collections = source.collections
        excluded = {name for kind, name in user.exclusions.collections if kind == collections.kind}
        context, count = filter_context(request, release, user), 0
        for number in dict.fromkeys([*recalled_N.tolist(), *collections.popular_K.tolist()]):
            if count == request.limit:
                return
            tracks = collections.tracks[number]
            places, _ = apply_filters(tracks, context)
            if collections.ids_N[number] in excluded:
                trace.record_removed({f"excluded_{source.name}": 1})
            elif not len(places) or (collections.requires_all_tracks and len(places) < len(tracks)):
                trace.record_removed({f"unplayable_{source.name}": 1})
            else:
                count += 1
                yield number, tracks[places]


def _details(
    target: tuple[str, str], number: int, tracks: np.ndarray, source: CollectionRecall, release: ServedRelease
) -> dict[str, Any]:
    """The fields of a collection with these playable tracks."""
    return {
        f"{target[0]}_id": target[1],
        "title": str(source.collections.titles_N[number]),
        "track_count": len(tracks),
        "tracks": [release.details(item) for item in tracks[:TRACKS_PER_COLLECTION].tolist()],
    }
