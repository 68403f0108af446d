"""Pipeline of tracks similar to a track, and of the continuation of a playlist: hydrate ▸ recall ▸ filter ▸ select.

The candidates depend on tracks or a title. The ranker predicts what a user plays next, not what is similar to tracks, and is not
called; the user's blocks and dislikes hold. Candidates that are close to negative seeds sink.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from recommender.catalog.arrays import Ragged
from recommender.recall.continuation.source import TITLE_SOURCES
from recommender.recall.reason import Reason, track_phrase
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.scene_settings import CANDIDATES_PER_CHANNEL, MAX_RANKED_CANDIDATES
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
            is_similar = request.track_id is not None
            remedy = "use the id of another track" if is_similar else "omit them from seeds"
            seeds = _encode([request.track_id] if request.track_id is not None else request.seeds, release, remedy)
            negatives = _encode(request.negative_seeds, release, "omit them from negative_seeds")
            user = self.load_user(request, release, trace)
            code = release.vocabulary.track_code
            excluded = np.array([code[track] for track in request.excluded if track in code], dtype=np.int64)
            gone = np.concatenate([seeds, negatives, excluded])
        with trace.time_stage("recall"):
            k = CANDIDATES_PER_CHANNEL
            recalled = self._recall.recall_continuation(release, seeds, request.title, k)
            trace.record_recall(recalled)
            unwanted = self._recall.recall_continuation(release, negatives, "", k) if len(negatives) else None
        with trace.time_stage("fuse"):
            sources = sorted({*release.continuation_sources, POPULARITY})
            against = release.continuation.score(unwanted.candidates, _playlist(negatives)) if unwanted else None
            fused = release.continuation.fuse(recalled.candidates, _playlist(seeds), sources, against)
            trace.fused = len(fused)
        with trace.time_stage("filter"):
            shown = filter_context(request, release, user, already_shown_items=gone)
            fused = fused.take(trace.filter(fused.item_C, shown)[:MAX_RANKED_CANDIDATES])
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
            chosen = fill_slots(slots, fused, iter(()) if is_similar else popular(), request.scene.relaxes_artist_cap)
            trace.unmet |= find_unmet(request, release.catalog, chosen)
            trace.unmet |= find_unmet_title(request.title, release, request.at_us)
            found_by = chosen.found_by()
            names_of = [names if score else [] for names, score in zip(found_by, chosen.score_C.tolist(), strict=True)]
            reasons = [_reason(request, seeds, names, release) for names in names_of]
            return Answer(user, build_items(chosen, release, found_by, reasons))


def _encode(track_ids: Sequence[str], release: ServedRelease, remedy: str) -> np.ndarray:
    """The items of tracks in order, each once, because several ids may stand for one track."""
    return np.array(list(dict.fromkeys(encode_tracks(track_ids, release, remedy).tolist())), dtype=np.int64)


def _playlist(items: np.ndarray) -> Ragged:
    """One playlist."""
    return Ragged(items, np.array([0, len(items)], dtype=np.int64))


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
