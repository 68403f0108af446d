"""Pipeline of tracks similar to a track, and of the continuation of a playlist: hydrate ▸ recall ▸ filter ▸ select.

The candidates depend on tracks or a title. The ranker predicts what a user plays next, not what is similar to tracks, and is not
called; the user's blocks and dislikes hold.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recommender.catalog.ragged import Ragged
from recommender.recall.continuation.source import TITLE_SOURCES
from recommender.recall.reason import Reason, track_phrase
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.slots import Slots
from serving.pipeline.pipeline import Answer, Pipeline, encode_tracks
from serving.pipeline.request import Request
from serving.pipeline.response import MOST_PLAYED, Trace, build_items
from serving.pipeline.search import find_unmet_title
from serving.pipeline.stages.recall import POPULARITY
from serving.pipeline.stages.select import fill_slots, find_unmet
from serving.pipeline.track_pipeline import popular_tracks
from serving.pipeline.user_state import filter_context
from serving.releases.served_release import ServedRelease


class SeedPipeline(Pipeline):
    """Finds tracks that are close to others, or that fit a title. Too few are filled with popular ones, except similar ones."""

    def answer(self, request: Request, release: ServedRelease, trace: Trace) -> Answer:
        """See `Pipeline.answer`."""
        with trace.time_stage("hydrate"):
            seeds = (
                encode_tracks([request.track_id], release, "use the id of another track")
                if request.track_id is not None
                else encode_tracks(request.seeds, release, "omit them from seeds")
            )
            seeds = np.array(list(dict.fromkeys(seeds.tolist())), dtype=np.int64)  # several ids may stand for one track
            user = self.load_user(request, release, trace)
            code = release.vocabulary.track_code
            excluded = np.array([code[track] for track in request.excluded if track in code], dtype=np.int64)
            gone = np.concatenate([seeds, excluded])
        with trace.time_stage("recall"):
            k = request.scene.candidates_per_channel
            recalled = self._recall.recall_continuation(release, seeds, request.title, k)
            trace.record_recall(recalled)
        with trace.time_stage("fuse"):
            seed_list = Ragged(seeds, np.array([0, len(seeds)], dtype=np.int64))
            sources = sorted({*release.continuation_sources, POPULARITY})
            fused = release.continuation.fuse(recalled.candidates, seed_list, sources)
            trace.fused = len(fused)
        with trace.time_stage("filter"):
            shown = filter_context(request, release, user, already_shown_items=gone)
            fused = fused.take(trace.filter(fused.item_C, shown)[: request.scene.max_ranked_candidates])
            trace.ranked = len(fused)
        with trace.time_stage("select"):

            def popular() -> Iterator[CandidateTable]:
                self.recall(user, release, k, [POPULARITY] if POPULARITY in release.channels else [])
                found = popular_tracks(fused, user, release)
                others = np.concatenate([gone, fused.item_C])
                context = filter_context(request, release, user, already_shown_items=others)
                yield found.take(trace.filter(found.item_C, context))

            # Without a history, all candidates are discoveries.
            slots = Slots.of(fused, release.catalog, request.scene, request.limit, share=1.0)
            is_similar = request.track_id is not None
            chosen = fill_slots(slots, fused, iter(()) if is_similar else popular(), request.scene.relaxes_artist_cap)
            trace.unmet |= find_unmet(request, release.catalog, chosen)
            trace.unmet |= find_unmet_title(request.title, release, request.at_us)
            found_by = chosen.found_by()
            names_of = [names if score else [] for names, score in zip(found_by, chosen.score_C.tolist(), strict=True)]
            reasons = [_reason(request, seeds, names, release) for names in names_of]
            return Answer(user, build_items(chosen, release, found_by, reasons))


def _reason(request: Request, seeds: np.ndarray, found_by: list[str], release: ServedRelease) -> Reason:
    """Why a track that these sources found for the seeds or the title is in the response."""
    is_similar = request.track_id is not None
    if not is_similar and found_by and found_by[0] in TITLE_SOURCES:
        return Reason("fits_title", {"title": request.title})
    if not len(seeds) or not (found_by or is_similar):
        return MOST_PLAYED
    if len(seeds) == 1:
        return Reason("close_to_track", {"track": track_phrase(release.vocabulary, int(seeds[0]))})
    return Reason("fits_playlist")
