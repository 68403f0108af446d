"""The request path: hydrate ▸ recall ▸ fuse ▸ filter ▸ rank ▸ select ▸ side effects.

One call answers one request from one release, which it holds from start to end. Each stage is a noun of its own in this
folder; here they are only put in order, timed and counted. Knows nothing about HTTP.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np

from sequences.batch import FIRST_CODE
from serving.events.exposures import Exposure, hash_features
from serving.observability.metrics import Metrics
from serving.pipeline import fuse, rank, response
from serving.pipeline.daily_lists import DailyListHistory, DailyLists, ListedTrack
from serving.pipeline.explore import explore
from serving.pipeline.fuse import RequestCandidates
from serving.pipeline.hydrate import STATE_UNAVAILABLE, Hydrator, UserState
from serving.pipeline.rank import Ranking
from serving.pipeline.recall import POPULARITY, Recall, RecallResult
from serving.pipeline.request import Request
from serving.pipeline.response import RecommendationResponse, TrackItem
from serving.pipeline.select import select, select_diverse
from serving.pipeline.trace import Trace
from serving.releases.served_release import ServedRelease
from training.data.user_history import current_session_items
from training.slate.filters import FilterContext, apply_filters

FALLBACK_CANDIDATES = 1000

logger = logging.getLogger(__name__)


class UnknownTrack(LookupError):
    """A request is about a track that the release does not know; the message names both."""


class ExposureWriter(Protocol):
    """Where it is written down what was shown."""

    def write(self, exposure: Exposure) -> None:
        """One record."""


@dataclass(frozen=True)
class RequestContext:
    """A request on its way through the stages.

    `near`: the item that others should be like, if one was given; `given`: today's list so far by item, in its order;
    `withheld`: items that must not come, be it that earlier lists had them.
    """

    request: Request
    release: ServedRelease
    user: UserState
    trace: Trace
    seed_item: int | None = None
    todays_tracks: dict[int, ListedTrack] = field(default_factory=dict)
    excluded_items: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class TrackPipeline:
    """Composes the stages. Thread-safe: a request's state lives in its call."""

    def __init__(
        self,
        hydrate: Hydrator,
        recall: Recall,
        lists: DailyLists,
        exposures: ExposureWriter,
        metrics: Metrics,
        ranking: Ranking | None = None,
    ) -> None:
        self._hydrator, self._recall, self._lists = hydrate, recall, lists
        self._ranking = ranking or Ranking()
        self._exposures, self._metrics = exposures, metrics

    def recommend(self, request: Request, release: ServedRelease, is_shown: bool = True) -> RecommendationResponse:
        """At most `request.limit` tracks, best first; nothing is written down for an answer that is not shown.

        Raises:
            UnknownTrack: the request is about a track that the release does not know.
        """
        metrics, scene = self._metrics, request.scene
        trace = Trace(release.release_id, _discovery_share(request, release))
        turn: AbstractContextManager[object] = (
            self._lists.user_lock(request.user_id) if scene.repeat_cooldown_days else nullcontext()
        )
        with metrics.request_seconds.labels(scene.name, release.release_id).time(), turn:
            with trace.time_stage("hydrate", metrics):
                asked = self._build_context(request, release, trace)
                listed = self._listed_candidates(asked)
            trace.listed = min(len(listed), request.limit)
            candidates = (
                listed if len(listed) >= request.limit else listed.concatenate(self._new_candidates(asked, listed))
            )
            with trace.time_stage("select", metrics):
                chosen = _select(candidates, asked, trace.listed)
                if len(chosen) < request.limit and asked.seed_item is None:  # what is popular is not like the track
                    chosen = self._fill_with_popular(chosen, asked)
                chosen = self._explore(chosen, candidates, asked)
                items = response.build_items(
                    chosen, release, asked.user.users, asked.todays_tracks, asked.seed_item, self._recall, metrics
                )
            if is_shown:
                with trace.time_stage("side_effects", metrics):
                    self._side_effects(asked, items)
        return RecommendationResponse(request.request_id, _response_release(items, release), items, trace, request.arm)

    def _build_context(self, request: Request, release: ServedRelease, trace: Trace) -> RequestContext:
        """The request with what is known of its user, and what their lists had."""
        code = release.vocabulary.track_code
        near = code.get(request.track_id) if request.track_id is not None else None
        if request.track_id is not None and near is None:
            raise UnknownTrack(
                f"track {request.track_id!r} is not in release {release.release_id}; give the id of another"
            )
        user = self._hydrator.load_user_state(request, release)
        trace.state_from = user.state_from
        if near is not None:
            return RequestContext(request, release, user, trace, near, excluded_items=np.array([near], dtype=np.int64))
        listed = self._read_lists(request)
        resting = np.array(sorted(code[track] for track in listed.recent_track_ids if track in code), dtype=np.int64)
        if request.prefers_repeats:
            # Music is heard again and again: only what was listed and never heard must not come back at once.
            resting = np.setdiff1d(resting, user.users.history_items.items)
        if request.scene.excludes_session_plays:
            resting = np.union1d(resting, current_session_items(user.users.views, user.users.request_at_B))
        given = {code[track.track_id]: track for track in listed.today if track.track_id in code}
        return RequestContext(request, release, user, trace, todays_tracks=given, excluded_items=resting)

    def _listed_candidates(self, asked: RequestContext) -> RequestCandidates:
        """Today's list so far, without what may not be shown any more."""
        tracks = asked.todays_tracks.values()
        given = RequestCandidates(
            np.array(list(asked.todays_tracks), dtype=np.int64),
            np.array([track.score for track in tracks], dtype=np.float64),
            [track.channels for track in tracks],
            {item: track.propensity for item, track in asked.todays_tracks.items() if track.is_exploration},
        )
        return self._filter(given, asked, np.zeros(0, dtype=np.int64)) if len(given) else given

    def _new_candidates(self, asked: RequestContext, listed: RequestCandidates) -> RequestCandidates:
        """Candidates in the order of the answer, none of them listed."""
        metrics, trace, release, users = self._metrics, asked.trace, asked.release, asked.user.users
        request, scene = asked.request, asked.request.scene
        with trace.time_stage("recall", metrics):
            recalled = self._recall_candidates(asked)
            trace.record_recall(recalled)
        with trace.time_stage("fuse", metrics):
            if asked.seed_item is None:
                fused = fuse.fuse(release, scene, users, recalled.candidates, request.discovery)
            else:
                fused = fuse.fuse_similar(recalled.candidates)
            trace.fused = len(fused)
        with trace.time_stage("filter", metrics):
            fused = self._filter(fused, asked, np.union1d(asked.excluded_items, listed.items_C)).top_k(
                scene.max_ranked_candidates
            )
            trace.ranked = len(fused)
        with trace.time_stage("rank", metrics):
            # The ranker believes in what a user wants next, which is not what a track is like.
            return (
                fused
                if asked.seed_item is not None
                else rank.rank(self._ranking, release, scene, users, fused, metrics)
            )

    def _filter(self, fused: RequestCandidates, asked: RequestContext, already: np.ndarray) -> RequestCandidates:
        """What of the candidates may be shown beside the items that are there `already`."""
        release = asked.release
        code, request = release.vocabulary.track_code, asked.request
        wanted = request.territory, request.is_explicit_wanted
        shown = FilterContext(release.catalog, asked.user.exclusions, code, request.at_us, already, *wanted)
        places, removed = apply_filters(fused.items_C, shown)
        asked.trace.record_removed(removed)
        for name, count in removed.items():
            self._metrics.removed.labels(name).inc(count)
        return fused.take(places)

    def _recall_candidates(self, asked: RequestContext) -> RecallResult:
        """Every channel's best; of popularity alone for a user nobody knows."""
        release, user, near, k = asked.release, asked.user, asked.seed_item, asked.request.scene.candidates_per_channel
        if near is not None:
            return self._recall.recall_similar(release, near, k)
        only = [POPULARITY] if not user.is_known and POPULARITY in release.channels else None
        return self._recall.recall_for_users(release, user.users, k, only)

    def _fill_with_popular(self, chosen: RequestCandidates, asked: RequestContext) -> RequestCandidates:
        """The chosen tracks, then popular ones until the answer is full or nothing is left that may be shown."""
        popular = self._filter(self._popular_candidates(asked), asked, np.union1d(asked.excluded_items, chosen.items_C))
        together = chosen.concatenate(popular)
        return together.take(
            select(together.items_C, asked.release.catalog, asked.request.limit, asked.request.scene.max_per_artist)
        )

    def _explore(
        self, chosen: RequestCandidates, candidates: RequestCandidates, asked: RequestContext
    ) -> RequestCandidates:
        """The chosen tracks with what chance puts in the last of the new places, unless nothing new is wanted."""
        scene, catalogue, trace = asked.request.scene, asked.release.catalog, asked.trace
        share = 0.0 if asked.seed_item is not None or asked.request.discovery == 0 else scene.exploration_rate
        explored = explore(
            chosen, candidates, catalogue, scene.max_per_artist, share, trace.listed, asked.request.request_id
        )
        trace.explored = len(explored.exploration_propensity) - len(chosen.exploration_propensity)
        self._metrics.explored.labels(scene.name).inc(trace.explored)
        return explored

    def _popular_candidates(self, asked: RequestContext) -> RequestCandidates:
        """What the channel of popularity finds; without it, the tracks that were played most, which no channel found."""
        request, release, users = asked.request, asked.release, asked.user.users
        if POPULARITY in release.channels and POPULARITY not in asked.trace.left_out:
            again = self._recall.recall_for_users(release, users, FALLBACK_CANDIDATES, [POPULARITY])
            if again.candidates:
                popular = fuse.fuse(release, request.scene, users, again.candidates, request.discovery)
                return popular.with_scores(np.zeros(len(popular)))
        # The vocabulary is numbered by plays.
        items_C = np.arange(FIRST_CODE, min(len(release.vocabulary), FIRST_CODE + FALLBACK_CANDIDATES))
        return RequestCandidates(items_C, np.zeros(len(items_C)), [[] for _ in items_C])

    def _read_lists(self, request: Request) -> DailyListHistory:
        if not request.scene.repeat_cooldown_days:
            return DailyListHistory()
        try:
            return self._lists.read(
                request.user_id, request.at_us, request.discovery, request.scene.repeat_cooldown_days
            )
        except sqlite3.Error:
            logger.exception("the lists of a user cannot be read; theirs is made anew")
            self._metrics.skipped.labels("daily_lists").inc()
            return DailyListHistory()

    def _side_effects(self, asked: RequestContext, items: list[TrackItem]) -> None:
        request = asked.request
        self._metrics.exposures.labels(request.scene.name, asked.release.release_id).inc(len(items))
        if not request.user_id:
            return
        try:
            hashed = hash_features(asked.user.users)
            self._exposures.write(Exposure(request, _response_release(items, asked.release), hashed, items))
        except OSError:
            # An answer without its record is worth more than no answer; the count says how many are missing.
            logger.exception("the exposure record of %s could not be written", request.request_id)
            self._metrics.skipped.labels("exposures").inc()
        # What is made for a user who could not be read would be the wrong list for the rest of the day.
        if (
            request.scene.repeat_cooldown_days
            and asked.user.state_from != STATE_UNAVAILABLE
            and len(items) > asked.trace.listed
        ):
            tracks = [
                ListedTrack(**{one.name: getattr(item, one.name) for one in fields(ListedTrack)}) for item in items
            ]
            try:
                self._lists.write(
                    request.user_id, request.at_us, request.discovery, tracks, request.scene.repeat_cooldown_days
                )
            except sqlite3.Error:
                logger.exception("the list of %s could not be written; the next one may differ", request.request_id)
                self._metrics.skipped.labels("daily_lists").inc()


def _response_release(items: list[TrackItem], release: ServedRelease) -> str:
    """The release that gave every item: another than `release` where all of them are of an earlier list."""
    given = {item.release for item in items}
    return given.pop() if len(given) == 1 else release.release_id


def _select(candidates: RequestCandidates, asked: RequestContext, listed: int) -> RequestCandidates:
    """The answer without chance; the first `listed` candidates stand already."""
    scene, limits = (
        asked.request.scene,
        (asked.release.catalog, asked.request.limit, asked.request.scene.max_per_artist),
    )
    strength = asked.release.blend.diversity if scene.is_diverse else 0.0
    if strength == 0:
        return candidates.take(select(candidates.items_C, *limits))
    return candidates.take(select_diverse(candidates.items_C, candidates.scores_C, *limits, strength, listed))


def _discovery_share(request: Request, release: ServedRelease) -> float | None:
    """The share of discoveries that the answer is made with."""
    if request.track_id is not None:
        return None
    return float(release.fusion.discovery_share(request.scene.name) if request.discovery is None else request.discovery)
