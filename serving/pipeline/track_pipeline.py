"""Pipeline of requests for tracks: hydrate ▸ recall ▸ fuse ▸ filter ▸ rank ▸ select ▸ side effects.

One call answers one request from one release, which it holds from start to end. Each stage has its own module in this
folder; this module orders, times and counts them. Independent of HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from event_store.store import StoreUnavailable
from sequences.sequence_batch import FIRST_CODE
from serving.errors import UnknownTrack
from serving.events.exposure_log import Exposure, hash_features
from serving.observability.metrics import Metrics
from serving.pipeline import response
from serving.pipeline.daily_lists import DailyListHistory, DailyLists, ListChanged, ListedTrack
from serving.pipeline.exposure_writer import ExposureWriter, write_exposure
from serving.pipeline.request import Request
from serving.pipeline.request_filters import build_filter_context
from serving.pipeline.response import RecommendationResponse, Trace, TrackItem
from serving.pipeline.search import find_unmet_title
from serving.pipeline.stages import fuse, rank
from serving.pipeline.stages.explore import explore
from serving.pipeline.stages.fuse import RequestCandidates
from serving.pipeline.stages.hydrate import Hydrator, UserState
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import POPULARITY, Recall, RecallResult
from serving.pipeline.stages.select import Selection, find_unmet
from serving.pipeline.stages.user_state_cache import STATE_UNAVAILABLE
from serving.releases.served_release import ServedRelease
from training.data.profile_exclusions import NO_ITEMS
from training.data.user_batch import UserBatch
from training.data.user_history import current_session_items, skipped_unheard_items
from training.slate.feedback import reactions_of
from training.slate.filters import apply_filters
from training.slate.new_user import unplayed_items_of_new_user

FALLBACK_CANDIDATES = 1000
MAX_NAMED_TRACKS = 10
VOTES_FOR_HALF = 10
"""Liked new tracks that move the share of new tracks half of the way to 1."""
LISTED_FIELDS = tuple(one.name for one in fields(ListedTrack) if one.name not in ("is_new", "place"))
"""Fields of a listed track that the item of the response has."""
DAILY_LISTS_FAILED = "the daily lists cannot be read or written; the list of today may change"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestContext:
    """Immutable state of one request while it passes the pipeline stages."""

    request: Request
    release: ServedRelease
    user: UserState
    trace: Trace
    seed_items: np.ndarray = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )  # the item of a request for similar tracks, or those of the playlist to continue
    lists: DailyListHistory = field(default_factory=DailyListHistory)
    todays_tracks: dict[int, ListedTrack] = field(default_factory=dict)  # item → track of today's list, in list order
    excluded_items: np.ndarray = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )  # e.g. shown in recent lists, played in this session, or excluded by the request
    requested: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # excluded by the request
    session_items: np.ndarray = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )  # plays of the session that a stream continues, oldest first

    @property
    def excluded_or_listed(self) -> np.ndarray:
        """Items that no further slot may get: excluded ones, and those of today's list, which keep their places."""
        return np.union1d(self.excluded_items, np.array(list(self.todays_tracks), dtype=np.int64))


class TrackPipeline:
    """Composes the stages. Thread-safe: the state of a request is local to its call."""

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
        """At most `request.limit` tracks, best first.

        Args:
            request: The request.
            release: Release that answers it.
            is_shown: Whether to write the exposure record and the daily list.

        Raises:
            UnknownTrack: The request is about tracks that the release does not have.
        """
        metrics, scene = self._metrics, request.scene
        trace = Trace(release.release_id, None)
        with metrics.request_seconds.labels(scene.name, release.release_id).time():
            with trace.time_stage("hydrate", metrics):
                context = self._build_context(request, release, trace)
                listed, slots = self._listed_candidates(context)
            trace.listed = len(listed)
            candidates = listed if len(listed) == request.limit else listed.concatenate(self._new_candidates(context))
            with trace.time_stage("select", metrics):
                chosen = self._select(candidates, slots, context)
                trace.unmet |= find_unmet(request, release.catalog, context.user.users, chosen)
                trace.unmet |= find_unmet_title(request.title, release, request.at_us)
                chosen = self._explore(chosen, candidates, context)
                items = response.build_items(
                    chosen,
                    release,
                    context.user.users,
                    context.todays_tracks,
                    response.SeedReasons.of(request, context.seed_items),
                    self._recall,
                    metrics,
                )
            if is_shown:
                try:
                    with trace.time_stage("side_effects", metrics):
                        self._side_effects(context, chosen, items)
                except ListChanged:
                    return self.recommend(request, release)
        return RecommendationResponse(request.request_id, _response_release(items, release), items, trace, request.arm)

    def _build_context(self, request: Request, release: ServedRelease, trace: Trace) -> RequestContext:
        """The request with the state of its user, today's list and the excluded items."""
        code = release.vocabulary.track_code
        seed_items = (
            encode_tracks([request.track_id], release, "use the id of another track")
            if request.track_id is not None
            else distinct(encode_tracks(request.seeds, release, "omit them from seeds"))
        )
        requested = np.array([code[track] for track in request.excluded if track in code], dtype=np.int64)
        user = self._hydrator.load_user_state(request, release)
        trace.record_state(user.state_from)
        trace.discovery = _discovery_share(request, release, user)
        if request.is_about_tracks:
            excluded = np.union1d(seed_items, requested)
            return RequestContext(request, release, user, trace, seed_items, excluded_items=excluded)
        lists = self._read_lists(request, trace)
        excluded = np.array(sorted(code[track] for track in lists.recent_track_ids if track in code), dtype=np.int64)
        if request.prefers_repeats:
            # Repeated tracks are wanted: exclude only tracks that were listed and never played.
            excluded = np.setdiff1d(excluded, user.users.history_items.items)
        excluded = np.union1d(excluded, unplayed_items_of_new_user(user.users.views))
        session_items = np.zeros(0, dtype=np.int64)
        if request.scene.excludes_session_plays:
            session_items = current_session_items(user.users.views, user.users.request_at_B)
        excluded = np.union1d(np.union1d(excluded, session_items), requested)
        todays_tracks = {code[track.track_id]: track for track in lists.today if track.track_id in code}
        return RequestContext(
            request,
            release,
            user,
            trace,
            lists=lists,
            todays_tracks=todays_tracks,
            excluded_items=excluded,
            requested=requested,
            session_items=session_items,
        )

    def _listed_candidates(self, context: RequestContext) -> tuple[RequestCandidates, np.ndarray]:
        """Tracks of today's list that may still be shown, and the slot of each, ascending."""
        tracks = context.todays_tracks.values()
        listed = RequestCandidates(
            np.array(list(context.todays_tracks), dtype=np.int64),
            np.array([track.score for track in tracks], dtype=np.float64),
            [track.channels for track in tracks],
            {item: track.propensity for item, track in context.todays_tracks.items() if track.is_exploration},
            frozenset(item for item, track in context.todays_tracks.items() if track.is_new),
        )
        if len(listed):
            listed = self._filter(listed, context, context.requested, is_listed=True)
        place_C = np.array([context.todays_tracks[item].place for item in listed.items_C.tolist()], dtype=np.int64)
        slots, first_C = np.unique(place_C, return_index=True)
        is_in_response = slots < context.request.limit
        return listed.take(first_C[is_in_response]), slots[is_in_response]

    def _new_candidates(self, context: RequestContext) -> RequestCandidates:
        """Ranked candidates that are not listed."""
        metrics, trace, release, users = self._metrics, context.trace, context.release, context.user.users
        request, scene = context.request, context.request.scene
        with trace.time_stage("recall", metrics):
            recalled = self._recall_candidates(context)
            trace.record_recall(recalled)
        with trace.time_stage("fuse", metrics):
            if request.is_about_tracks:
                fused = fuse.fuse_continuation(release, recalled.candidates, context.seed_items)
            else:
                fused = fuse.fuse(release, scene, users, recalled.candidates, request.discovery)
            trace.fused = len(fused)
        with trace.time_stage("filter", metrics):
            fused = self._filter(fused, context, context.excluded_or_listed)
            if request.is_about_tracks:
                # The ranker predicts what a user plays next, not what is similar to tracks.
                ranked = fused.top_k(scene.max_ranked_candidates)
                trace.ranked = len(ranked)
                return ranked
            changes_C = rank.read_reactions(release, scene, users, fused.items_C)
            places = rank.best_after_reactions(fused, changes_C, scene.max_ranked_candidates)
            fused, changes_C = fused.take(places), changes_C[places]
            trace.ranked = len(fused)
        with trace.time_stage("rank", metrics):
            return rank.rank(self._ranking, release, scene, users, fused, changes_C, metrics, trace.degraded)

    def _filter(
        self, candidates: RequestCandidates, context: RequestContext, excluded: np.ndarray, is_listed: bool = False
    ) -> RequestCandidates:
        """The candidates that pass the filters and are not `excluded`; listed ones keep their places when skipped."""
        release, request = context.release, context.request
        left_out = skipped = NO_ITEMS
        if not request.is_about_tracks:
            left_out = context.user.left_out.items
            skipped = NO_ITEMS if is_listed else _skipped_unheard(context.user.users)
        filter_context = build_filter_context(request, release, context.user, excluded, left_out, skipped)
        places, removed = apply_filters(candidates.items_C, filter_context)
        context.trace.record_removed(removed)
        for name, count in removed.items():
            self._metrics.removed.labels(name).inc(count)
        return candidates.take(places)

    def _recall_candidates(self, context: RequestContext) -> RecallResult:
        """The best candidates of every source; of popularity alone for an unknown user."""
        release, user, k = context.release, context.user, context.request.scene.candidates_per_channel
        if context.request.is_about_tracks:
            return self._recall.recall_continuation(release, context.seed_items, context.request.title, k)
        only = [POPULARITY] if not user.is_known and POPULARITY in release.channels else None
        return self._recall.recall_for_users(release, user.users, k, only)

    def _select(
        self, candidates: RequestCandidates, listed_slots: np.ndarray, context: RequestContext
    ) -> RequestCandidates:
        """The response before exploration, in which the first candidates have the slots of today's list; if the others are
        too few, popular tracks that pass the filters follow.

        If these are not enough and the scene prefers a full list to the cap per artist, further tracks of the same artists
        follow, with the smallest cap that fills the list.
        """
        request, scene, trace = context.request, context.request.scene, context.trace
        is_discovery_C = self._find_discoveries(candidates, context)
        share = trace.discovery or 0.0
        users = context.user.users
        selection = Selection.of(request, context.release, users, is_discovery_C, share, context.session_items)
        given_L = np.full(request.limit, -1)
        given_L[listed_slots] = np.arange(len(listed_slots))
        place_L = selection.select(candidates, is_discovery_C, given_L)
        chosen = candidates.take(place_L[place_L >= 0])
        if len(chosen) == request.limit or request.track_id is not None:  # popular tracks are not similar tracks
            return chosen
        popular = self._popular_candidates(context)
        others = candidates.concatenate(popular.take(np.flatnonzero(~np.isin(popular.items_C, candidates.items_C))))
        others = self._filter(others, context, context.excluded_or_listed)
        for excess in range(request.limit if scene.relaxes_artist_cap else 1):
            more = others.take(np.flatnonzero(~np.isin(others.items_C, chosen.items_C)))
            both = chosen.concatenate(more)
            given_L = np.where(place_L >= 0, np.cumsum(place_L >= 0) - 1, -1)
            place_L = selection.select(both, self._find_discoveries(both, context), given_L, excess)
            chosen = both.take(place_L[place_L >= 0])
            if len(chosen) == request.limit:
                break
        return chosen

    def _find_discoveries(self, candidates: RequestCandidates, context: RequestContext) -> np.ndarray:
        """Which candidates are new to the user, bool [C]; none of those of a request about tracks."""
        if context.request.is_about_tracks:
            return np.zeros(len(candidates), dtype=bool)
        return rank.find_discoveries(context.user.users, candidates)

    def _explore(
        self, chosen: RequestCandidates, candidates: RequestCandidates, context: RequestContext
    ) -> RequestCandidates:
        """The chosen tracks with random new ones in some of the last slots, unless the request excludes new tracks."""
        scene, catalog, trace = context.request.scene, context.release.catalog, context.trace
        rate = 0.0 if context.request.is_about_tracks or context.request.discovery == 0 else scene.exploration_rate
        if rate:
            candidates = candidates.take(np.flatnonzero(rank.find_discoveries(context.user.users, candidates)))
        open_slots = np.flatnonzero(~np.isin(chosen.items_C, list(context.todays_tracks)))
        explored = explore(chosen, candidates, catalog, rate, open_slots, context.request.request_id)
        trace.explored = len(explored.exploration_propensity) - len(chosen.exploration_propensity)
        self._metrics.explored.labels(scene.name).inc(trace.explored)
        return explored

    def _popular_candidates(self, context: RequestContext) -> RequestCandidates:
        """Candidates of the popularity channel; without it, the most played tracks, with no channel."""
        request, release, users = context.request, context.release, context.user.users
        if POPULARITY in release.channels and POPULARITY not in context.trace.left_out:
            recalled = self._recall.recall_for_users(release, users, FALLBACK_CANDIDATES, [POPULARITY])
            if recalled.candidates:
                popular = fuse.fuse(release, request.scene, users, recalled.candidates, request.discovery)
                return popular.with_scores(np.zeros(len(popular)))
        # Items are numbered by decreasing play count.
        items_C = np.arange(FIRST_CODE, min(len(release.vocabulary), FIRST_CODE + FALLBACK_CANDIDATES))
        return RequestCandidates(items_C, np.zeros(len(items_C)), [[] for _ in items_C])

    def _read_lists(self, request: Request, trace: Trace) -> DailyListHistory:
        if not request.scene.repeat_cooldown_days:
            return DailyListHistory()
        try:
            return self._lists.read(
                request.user_id, request.at_us, request.discovery, request.scene.repeat_cooldown_days
            )
        except StoreUnavailable:
            logger.exception("Could not read the stored daily lists of this user; generating a new list.")
            self._metrics.skipped.labels("daily_lists").inc()
            trace.degraded["daily_lists"] = DAILY_LISTS_FAILED
            return DailyListHistory()

    def _side_effects(self, context: RequestContext, chosen: RequestCandidates, items: list[TrackItem]) -> None:
        """For scenes with a daily list, write the list; count exposures and write the exposure record."""
        request, cooldown_days = context.request, context.request.scene.repeat_cooldown_days
        # A list generated without the user's state, without any channel, or without the tracks that one request excludes,
        # must not be kept for the rest of the day.
        has_all_parts = context.user.state_from != STATE_UNAVAILABLE and not context.trace.has_no_channel
        is_kept = has_all_parts and not request.excluded
        if request.user_id and cooldown_days and is_kept and len(items) > context.trace.listed:
            is_new_C = rank.find_discoveries(context.user.users, chosen).tolist()
            place_of = {track.track_id: track.place for track in context.todays_tracks.values()}
            taken = {place_of[item.track_id] for item in items if item.track_id in place_of}
            free = (place for place in range(request.limit) if place not in taken)
            # Tracks that the user blocked or disliked keep their places, in case the user takes that back.
            tracks = [*context.todays_tracks.values()]
            tracks += [
                ListedTrack(**{name: getattr(item, name) for name in LISTED_FIELDS}, is_new=is_new, place=next(free))
                for item, is_new in zip(items, is_new_C, strict=True)
                if item.track_id not in place_of
            ]
            try:
                self._lists.write(request.user_id, request.at_us, request.discovery, tracks, context.lists)
            except StoreUnavailable:
                logger.exception("could not write the daily list of %s; the next one may differ", request.request_id)
                self._metrics.skipped.labels("daily_lists").inc()
                context.trace.degraded["daily_lists"] = DAILY_LISTS_FAILED
        self._metrics.exposures.labels(request.scene.name, context.release.release_id).inc(len(items))
        if request.user_id:
            shown_release, features_hash = _response_release(items, context.release), hash_features(context.user.users)
            exposure = Exposure(request, shown_release, features_hash, items)
            write_exposure(self._exposures, exposure, context.trace, self._metrics)


def _skipped_unheard(users: UserBatch) -> np.ndarray:
    """`skipped_unheard_items` of a request, which several filters of it need."""
    return users.get_or_compute(skipped_unheard_items, lambda: skipped_unheard_items(users.views))


def distinct(items: np.ndarray) -> np.ndarray:
    """The items without repetitions, in order: several ids may stand for one track."""
    return np.array(list(dict.fromkeys(items.tolist())), dtype=np.int64)


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


def _response_release(items: list[TrackItem], release: ServedRelease) -> str:
    """The release that chose all items: an earlier one if all of them are from an earlier list."""
    releases = {item.release for item in items}
    return releases.pop() if len(releases) == 1 else release.release_id


def _discovery_share(request: Request, release: ServedRelease, user: UserState) -> float | None:
    """The fraction of new tracks that the response should have; None for a request about tracks.

    Each new track that the user has liked without playing it is a vote for new tracks, unless the request has a share.
    """
    if request.is_about_tracks:
        return None
    if request.discovery is not None:
        return request.discovery
    share = float(release.discovery_share(request.scene.name))
    votes = reactions_of(user.users).votes_for_new()
    return share + (1 - share) * votes / (votes + VOTES_FOR_HALF)
