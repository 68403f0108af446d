"""Pipeline of recommended tracks: hydrate ▸ recall ▸ fuse ▸ filter ▸ rank ▸ select ▸ explore ▸ explain.

Each stage has its own module in `stages`; fusion, filters, blend and slots are the functions of `recommender.slate` that the
evaluation uses. A candidate is a row of one table from recall to the response.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from event_store.store import StoreUnavailable
from recommender.catalog.arrays import is_among
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.feedback import VOTES_FOR_HALF, reactions_of
from recommender.slate.ranker_blend import cut
from recommender.slate.scene_settings import (
    CANDIDATES_PER_CHANNEL,
    MAX_RANKED_CANDIDATES,
    MIN_RANKED_DISCOVERY_SHARE,
    Scene,
)
from recommender.slate.slots import Slots
from recommender.user.exclusions import NO_ITEMS
from sequences.sequence_batch import FIRST_CODE
from serving.observability.metrics import Metrics
from serving.pipeline.daily_lists import DailyListHistory, ListChanged, ListedTrack, read_lists, write_list
from serving.pipeline.pipeline import Answer, Pipeline
from serving.pipeline.request import Request
from serving.pipeline.response import RecommendationResponse, Trace, build_items, collect_reasons
from serving.pipeline.stages.recall import FALLBACK_CANDIDATES, POPULARITY
from serving.pipeline.stages.select import explore, fill_slots, find_unmet
from serving.pipeline.user_state import STATE_UNAVAILABLE, UserState, filter_context
from serving.releases.served_release import ServedRelease

DAILY_LISTS_FAILED = "the daily lists cannot be read or written; the list of today may change"
RANKER_FAILED = "the ranker failed; tracks are in the order of the recall channels"


@dataclass(frozen=True)
class TrackAnswer(Answer):
    """Tracks, and the list of today before and with them."""

    chosen: CandidateTable
    lists: DailyListHistory  # with tracks that may not be shown now


class TrackPipeline(Pipeline):
    """Recommends tracks to a user; lists of scenes with one list per day keep their tracks."""

    def recommend(
        self, request: Request, release: ServedRelease, is_shown: bool = True, is_kept: bool = False
    ) -> RecommendationResponse:
        """See `Pipeline.recommend`."""
        try:
            return super().recommend(request, release, is_shown, is_kept)
        except ListChanged:  # concurrent requests of a user get the same list
            return self.recommend(request, release, is_shown, is_kept)

    def answer(self, request: Request, release: ServedRelease, trace: Trace) -> TrackAnswer:
        """See `Pipeline.answer`."""
        with trace.time_stage("hydrate"):
            user = self.load_user(request, release, trace)
            trace.discovery = _discovery_share(request, release, user)
            lists = self._read_lists(request, trace)
            call = _Call(request, release, user, trace, lists)
            ranked = call.listed()
        trace.listed = len(ranked)
        others = call.no_candidates
        if len(ranked) < request.limit:
            new, others = self._rank_new(call)
            ranked = ranked.then(new)
        with trace.time_stage("select"):
            chosen = self._choose(call, ranked, others)
            trace.unmet |= find_unmet(request, release.catalog, chosen)
            found_by = chosen.found_by()
            names_of = dict(zip(chosen.item_C.tolist(), found_by, strict=True))
            # Also of listed tracks: what was true in the morning need not be true in the evening.
            reasons = collect_reasons(names_of, user, release, self._recall, self._metrics)
            chosen_by = {item: track.release for item, track in call.todays_tracks.items()}
            items = build_items(chosen, release, found_by, reasons, chosen_by)
        return TrackAnswer(user, items, chosen, lists)

    def _rank_new(self, call: _Call) -> tuple[CandidateTable, CandidateTable]:
        """The ranked candidates that are not listed, and the others that pass the filters."""
        request, release, user, trace = call.request, call.release, call.user, call.trace
        with trace.time_stage("recall"):
            is_alone = not user.is_known and POPULARITY in release.channels
            sources = [POPULARITY] if is_alone else list(release.channels)
            trace.record_recall(self.recall(user, release, CANDIDATES_PER_CHANNEL, sources))
        with trace.time_stage("fuse"):
            fused = call.fuse()
            trace.fused = len(fused)
        with trace.time_stage("filter"):
            fused = call.filter(fused, np.concatenate([call.excluded, call.listed_items]))
        with trace.time_stage("rank"):
            ranked, others = rank(release, request.scene, user, fused, call.resting, self._metrics, trace)
            trace.ranked = len(ranked)
        return ranked, others

    def _choose(self, call: _Call, ranked: CandidateTable, others: CandidateTable) -> CandidateTable:
        """The tracks of the response, with random new ones in some of the last slots."""
        request, release, user, scene = call.request, call.release, call.user, call.request.scene
        slots = Slots.of(
            ranked,
            release.catalog,
            scene,
            request.limit,
            call.trace.discovery or 0.0,
            release.blend.diversity,
            user.history,
            call.session,
        )
        chosen = fill_slots(slots, ranked, call.further(ranked, others), scene.relaxes_artist_cap)
        rate = 0.0 if request.discovery == 0 else scene.exploration_rate
        explored = explore(chosen, ranked, release.catalog, rate, request.request_id)
        call.trace.explored = int(((explored.propensity_C < 1) & (explored.slot_C < 0)).sum())
        return explored

    def _read_lists(self, request: Request, trace: Trace) -> DailyListHistory:
        if not request.scene.repeat_cooldown_days:
            return DailyListHistory()
        try:
            return read_lists(self._state, request)
        except StoreUnavailable:
            trace.record_failure("daily_lists", DAILY_LISTS_FAILED, self._metrics)
            return DailyListHistory()

    def record(
        self, request: Request, release: ServedRelease, answer: Answer, trace: Trace, is_shown: bool = True
    ) -> None:
        """See `Pipeline.record`; before, write the list of today.

        Raises:
            ListChanged: Another request has changed the list; nothing is recorded.
        """
        assert isinstance(answer, TrackAnswer)  # noqa: S101
        self._write_list(request, answer, trace)
        super().record(request, release, answer, trace, is_shown)

    def _write_list(self, request: Request, answer: TrackAnswer, trace: Trace) -> None:
        # A list generated without the user's state, without any channel, or without the tracks that one request excludes,
        # must not be kept for the rest of the day.
        has_all_parts = answer.user.state_from != STATE_UNAVAILABLE and not trace.has_no_channel
        is_kept = request.user_id and request.scene.repeat_cooldown_days and has_all_parts and not request.excluded
        if not is_kept or len(answer.items) <= trace.listed:
            return
        try:
            write_list(self._state, request, _extend_list(answer, request.limit), answer.lists)
        except StoreUnavailable:
            trace.record_failure("daily_lists", DAILY_LISTS_FAILED, self._metrics)


class _Call:
    """One request with the state of its user: what the stages need to know of it."""

    def __init__(
        self, request: Request, release: ServedRelease, user: UserState, trace: Trace, lists: DailyListHistory
    ) -> None:
        self.request, self.release, self.user, self.trace = request, release, user, trace
        code = release.vocabulary.track_code
        self.todays_tracks = {code[track.track_id]: track for track in lists.today if track.track_id in code}
        self.listed_items = np.array(list(self.todays_tracks), dtype=np.int64)
        self.session = user.session if request.scene.excludes_session_plays else NO_ITEMS
        self.requested = np.array([code[track] for track in request.excluded if track in code], dtype=np.int64)
        recent = np.array([code[track] for track in lists.recent_track_ids if track in code], dtype=np.int64)
        if request.prefers_repeats:
            # Repeated tracks are wanted: exclude only tracks that were listed and never played.
            recent = recent[~is_among(recent, user.history)]
        self.excluded = np.concatenate([recent, user.unplayed_picks, self.session, self.requested])
        is_stream = request.scene.excludes_session_plays
        self.resting = reactions_of(user.users).resting_artists(release.catalog) if is_stream else NO_ITEMS
        listed_by = {name for track in self.todays_tracks.values() for name in track.channels}
        self.no_candidates = CandidateTable.empty(sorted({*release.channels, *listed_by}))

    def listed(self) -> CandidateTable:
        """Tracks of today's list that may still be shown."""
        if not self.todays_tracks:
            return self.no_candidates
        sources, tracks = self.no_candidates.sources, list(self.todays_tracks.values())
        rank_CH = np.full((len(tracks), len(sources)), -1, dtype=np.int32)
        for number, track in enumerate(tracks):
            rank_CH[number, [sources.index(name) for name in track.channels]] = np.arange(len(track.channels))
        items_C = self.listed_items
        listed = replace(
            self.no_candidates.of(
                sources, 1, np.zeros_like(items_C), items_C, np.array([track.is_new for track in tracks]), rank_CH
            ),
            score_C=np.array([track.score for track in tracks], dtype=np.float64),
            slot_C=np.array([track.place for track in tracks], dtype=np.int64),
            propensity_C=np.array([track.propensity for track in tracks], dtype=np.float64),
        )
        listed = self.filter(listed, self.requested, is_listed=True)
        # The first track of each slot, in the order of the slots.
        slot_L, first_L = np.unique(listed.slot_C, return_index=True)
        return listed.take(first_L[slot_L < self.request.limit])

    def fuse(self) -> CandidateTable:
        """The candidates of all sources in fused order."""
        release, scene, user = self.release, self.request.scene, self.user
        names, sources = [name for name in user.found if name in release.channels], self.no_candidates.sources
        depends_on, known = (self.request.discovery, sources, names), user.fused.get(scene.name)
        if known is not None and known[0] == depends_on:
            return known[1]
        found = {name: user.found[name][:, :CANDIDATES_PER_CHANNEL] for name in names}
        table = CandidateTable.merge(found, user.users.history_items, sources)
        fusion = release.fusion.with_min_share(MIN_RANKED_DISCOVERY_SHARE)
        fused = fusion.fuse(table, [scene.name], self.request.discovery)
        user.fused[scene.name] = depends_on, fused
        return fused

    def further(self, ranked: CandidateTable, others: CandidateTable) -> Iterator[CandidateTable]:
        """What follows the ranked candidates while tracks lack: other candidates and popular tracks, then the artists that rest,
        the one skipped longest ago first.
        """
        table = others.then(self.popular(ranked.then(others)))
        artist_C = self.release.catalog.main_artist_V[table.item_C]
        yield table.take(~is_among(artist_C, self.resting))
        yield from (table.take(artist_C == artist) for artist in self.resting)

    def popular(self, table: CandidateTable) -> CandidateTable:
        """Popular tracks that pass the filters and are not in the table: the further candidates of POPULARITY; without that
        channel the most played tracks, which no source found.
        """
        return self.filter(
            popular_tracks(table, self.user, self.release), np.concatenate([self.excluded, table.item_C])
        )

    def filter(self, table: CandidateTable, excluded: np.ndarray, is_listed: bool = False) -> CandidateTable:
        """The candidates that pass the filters and are not `excluded`; listed ones keep their places when skipped."""
        user = self.user
        context = filter_context(
            self.request,
            self.release,
            user,
            already_shown_items=excluded,
            left_out_items=user.left_out,
            skipped_unheard_items=user.skipped_unheard[:0] if is_listed else user.skipped_unheard,
        )
        return table.take(self.trace.filter(table.item_C, context))


def popular_tracks(table: CandidateTable, user: UserState, release: ServedRelease) -> CandidateTable:
    """Tracks that fill a list, the most popular ones first, with scores of 0 and the sources of a table."""
    found = user.found.get(POPULARITY)
    if found is not None:
        items_C = found[found > 0]
    else:  # items are numbered by decreasing play count
        items_C = np.arange(FIRST_CODE, min(len(release.vocabulary), FIRST_CODE + FALLBACK_CANDIDATES))
    rank_CH = np.full((len(items_C), len(table.sources)), -1, dtype=np.int32)
    if found is not None:
        rank_CH[:, table.sources.index(POPULARITY)] = np.arange(len(items_C))
    return table.of(table.sources, 1, np.zeros_like(items_C), items_C, ~is_among(items_C, user.history), rank_CH).take(
        ~is_among(items_C, table.item_C)
    )


def _extend_list(answer: TrackAnswer, limit: int) -> list[ListedTrack]:
    """The list of today with the new tracks, in the places that are free.

    Tracks that the user blocked or disliked keep their places, in case the user takes that back.
    """
    taken = set(answer.chosen.slot_C.tolist())
    free = (place for place in range(limit) if place not in taken)
    rows = zip(answer.items, answer.chosen.slot_C.tolist(), answer.chosen.is_discovery_C.tolist(), strict=True)
    return answer.lists.today + [
        ListedTrack(item.track_id, item.score, item.channels, next(free), item.propensity, item.release, is_new)
        for item, slot, is_new in rows
        if slot < 0
    ]


def _discovery_share(request: Request, release: ServedRelease, user: UserState) -> float:
    """The fraction of new tracks that the response should have.

    Each new track that the user has liked without playing it is a vote for new tracks, unless the request has a share.
    """
    if request.discovery is not None:
        return request.discovery
    share = float(release.discovery_share(request.scene.name))
    votes = reactions_of(user.users).votes_for_new()
    return share + (1 - share) * votes / (votes + VOTES_FOR_HALF)


def rank(
    release: ServedRelease,
    scene: Scene,
    user: UserState,
    fused: CandidateTable,
    resting: np.ndarray,
    metrics: Metrics,
    trace: Trace,
) -> tuple[CandidateTable, CandidateTable]:
    """The best candidates of the scene by the release's blend, and the others in fused order, with scores of 0.

    The user's reactions raise and lower candidates before the cut and in the scores. Tracks by artists in `resting` are among the
    others. With weights of 0 the ranker is not called. If it fails, the fused order is kept, and the failure is recorded in the
    trace. The last result of the scene is kept in the state.
    """
    known = user.ranked.get(scene.name)
    if known is not None and known[0].has_order_of(fused):
        return known[1]
    blend, catalog, is_complete = release.blend, release.catalog, True
    reactions = reactions_of(user.users)
    is_resting_C = is_among(catalog.main_artist_V[fused.item_C], resting)
    change_C = np.where(is_resting_C, -np.inf, blend.feedback.log_factors(reactions.evidence(fused.item_C, catalog)))
    is_ranked_C = cut(fused, change_C, MAX_RANKED_CANDIDATES) & ~is_resting_C
    ranked, others, task_score_C = fused.take(is_ranked_C), fused.take(~is_ranked_C), None
    if release.ranker is not None and blend.uses_ranker and len(ranked):
        try:
            probabilities = release.ranker.score(user.in_scene(scene.name), ranked.item_C[None, :])
            task_score_C = blend.heads.score(probabilities, scene.name)[0]
        except Exception:
            trace.record_failure("ranker", RANKER_FAILED, metrics)
            is_complete = False
    result = blend.rank(ranked, task_score_C, change_C[is_ranked_C]), others.scored(np.zeros(len(others)))
    if is_complete:
        user.ranked[scene.name] = fused, result
    return result
