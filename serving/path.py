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

from sequences.batch import FIRST
from serving import answer, fuse, rank
from serving.answer import Answer, Item
from serving.daily_lists import DailyLists, Listed, ListedTrack
from serving.explore import explore
from serving.exposures import Exposure, features_hash
from serving.fuse import Fused
from serving.hydrate import NOTHING, Hydrate, Hydrated
from serving.metrics import Metrics
from serving.rank import Ranking
from serving.recall import POPULARITY, Recall, Recalled
from serving.request import Request
from serving.select import select, select_diverse
from serving.served_release import ServedRelease
from serving.trace import Trace
from training.filter import Shown, keep
from training.heard import played_this_session

TOP_UP = 1000

logger = logging.getLogger(__name__)


class UnknownTrack(LookupError):
    """A request is about a track that the release does not know; the message names both."""


class Exposed(Protocol):
    """Where it is written down what was shown."""

    def write(self, exposure: Exposure) -> None:
        """One record."""


@dataclass(frozen=True)
class _Asked:
    """A request on its way through the stages.

    `near`: the item that others should be like, if one was given; `given`: today's list so far by item, in its order;
    `withheld`: items that must not come, be it that earlier lists had them.
    """

    request: Request
    release: ServedRelease
    user: Hydrated
    trace: Trace
    near: int | None = None
    given: dict[int, ListedTrack] = field(default_factory=dict)
    withheld: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class RecommendPath:
    """Composes the stages. Thread-safe: a request's state lives in its call."""

    def __init__(
        self,
        hydrate: Hydrate,
        recall: Recall,
        lists: DailyLists,
        exposures: Exposed,
        metrics: Metrics,
        ranking: Ranking | None = None,
    ) -> None:
        self._hydrate, self._recall, self._lists = hydrate, recall, lists
        self._ranking = ranking or Ranking()
        self._exposures, self._metrics = exposures, metrics

    def answer(self, request: Request, release: ServedRelease, is_shown: bool = True) -> Answer:
        """At most `request.limit` tracks, best first; nothing is written down for an answer that is not shown.

        Raises:
            UnknownTrack: the request is about a track that the release does not know.
        """
        metrics, scene = self._metrics, request.scene
        trace = Trace(release.release_id, _share(request, release))
        turn: AbstractContextManager[object] = self._lists.turn(request.user_id) if scene.rest_days else nullcontext()
        with metrics.request_seconds.labels(scene.name, release.release_id).time(), turn:
            with trace.timed("hydrate", metrics):
                asked = self._asked(request, release, trace)
                listed = self._listed(asked)
            trace.listed = min(len(listed), request.limit)
            candidates = listed if len(listed) >= request.limit else listed.followed_by(self._new(asked, listed))
            with trace.timed("select", metrics):
                chosen = _selected(candidates, asked, trace.listed)
                if len(chosen) < request.limit and asked.near is None:  # what is popular is not like the track
                    chosen = self._topped_up(chosen, asked)
                chosen = self._explored(chosen, candidates, asked)
                items = answer.items(chosen, release, asked.user.users, asked.given, asked.near, self._recall, metrics)
            if is_shown:
                with trace.timed("side_effects", metrics):
                    self._side_effects(asked, items)
        return Answer(request.request_id, _given_by(items, release), items, trace, request.arm)

    def _asked(self, request: Request, release: ServedRelease, trace: Trace) -> _Asked:
        """The request with what is known of its user, and what their lists had."""
        code = release.vocabulary.track_code
        near = code.get(request.track_id) if request.track_id is not None else None
        if request.track_id is not None and near is None:
            raise UnknownTrack(
                f"track {request.track_id!r} is not in release {release.release_id}; give the id of another"
            )
        user = self._hydrate.user(request, release)
        trace.state_from = user.state_from
        if near is not None:
            return _Asked(request, release, user, trace, near, withheld=np.array([near], dtype=np.int64))
        listed = self._lists_of(request)
        resting = np.array(sorted(code[track] for track in listed.before if track in code), dtype=np.int64)
        if request.is_relistening:
            # Music is heard again and again: only what was listed and never heard must not come back at once.
            resting = np.setdiff1d(resting, user.users.heard.items)
        if request.scene.rests_session:
            resting = np.union1d(resting, played_this_session(user.users.views, user.users.request_at_B))
        given = {code[track.track_id]: track for track in listed.today if track.track_id in code}
        return _Asked(request, release, user, trace, given=given, withheld=resting)

    def _listed(self, asked: _Asked) -> Fused:
        """Today's list so far, without what may not be shown any more."""
        tracks = asked.given.values()
        given = Fused(
            np.array(list(asked.given), dtype=np.int64),
            np.array([track.score for track in tracks], dtype=np.float64),
            [track.channels for track in tracks],
            {item: track.propensity for item, track in asked.given.items() if track.is_exploration},
        )
        return self._filtered(given, asked, np.zeros(0, dtype=np.int64)) if len(given) else given

    def _new(self, asked: _Asked, listed: Fused) -> Fused:
        """Candidates in the order of the answer, none of them listed."""
        metrics, trace, release, users = self._metrics, asked.trace, asked.release, asked.user.users
        request, scene = asked.request, asked.request.scene
        with trace.timed("recall", metrics):
            recalled = self._recalled(asked)
            trace.recalled(recalled)
        with trace.timed("fuse", metrics):
            if asked.near is None:
                fused = fuse.fuse(release, scene, users, recalled.candidates, request.discovery)
            else:
                fused = fuse.fuse_near(recalled.candidates)
            trace.fused = len(fused)
        with trace.timed("filter", metrics):
            fused = self._filtered(fused, asked, np.union1d(asked.withheld, listed.items_C)).first(scene.ranked)
            trace.ranked = len(fused)
        with trace.timed("rank", metrics):
            # The ranker believes in what a user wants next, which is not what a track is like.
            return fused if asked.near is not None else rank.rank(self._ranking, release, scene, users, fused, metrics)

    def _filtered(self, fused: Fused, asked: _Asked, already: np.ndarray) -> Fused:
        """What of the candidates may be shown beside the items that are there `already`."""
        release = asked.release
        code, request = release.vocabulary.track_code, asked.request
        wanted = request.territory, request.is_explicit_wanted
        shown = Shown(release.catalogue, asked.user.exclusions, code, request.at_us, already, *wanted)
        places, removed = keep(fused.items_C, shown)
        asked.trace.filtered(removed)
        for name, count in removed.items():
            self._metrics.removed.labels(name).inc(count)
        return fused.take(places)

    def _recalled(self, asked: _Asked) -> Recalled:
        """Every channel's best; of popularity alone for a user nobody knows."""
        release, user, near, k = asked.release, asked.user, asked.near, asked.request.scene.recalled
        if near is not None:
            return self._recall.near(release, near, k)
        only = [POPULARITY] if not user.is_known and POPULARITY in release.channels else None
        return self._recall.of_users(release, user.users, k, only)

    def _topped_up(self, chosen: Fused, asked: _Asked) -> Fused:
        """The chosen tracks, then popular ones until the answer is full or nothing is left that may be shown."""
        popular = self._filtered(self._popular(asked), asked, np.union1d(asked.withheld, chosen.items_C))
        together = chosen.followed_by(popular)
        return together.take(
            select(together.items_C, asked.release.catalogue, asked.request.limit, asked.request.scene.per_artist)
        )

    def _explored(self, chosen: Fused, candidates: Fused, asked: _Asked) -> Fused:
        """The chosen tracks with what chance puts in the last of the new places, unless nothing new is wanted."""
        scene, catalogue, trace = asked.request.scene, asked.release.catalogue, asked.trace
        share = 0.0 if asked.near is not None or asked.request.discovery == 0 else scene.explored
        explored = explore(
            chosen, candidates, catalogue, scene.per_artist, share, trace.listed, asked.request.request_id
        )
        trace.explored = len(explored.explored) - len(chosen.explored)
        self._metrics.explored.labels(scene.name).inc(trace.explored)
        return explored

    def _popular(self, asked: _Asked) -> Fused:
        """What the channel of popularity finds; without it, the tracks that were played most, which no channel found."""
        request, release, users = asked.request, asked.release, asked.user.users
        if POPULARITY in release.channels and POPULARITY not in asked.trace.left_out:
            again = self._recall.of_users(release, users, TOP_UP, [POPULARITY])
            if again.candidates:
                popular = fuse.fuse(release, request.scene, users, again.candidates, request.discovery)
                return popular.scored(np.zeros(len(popular)))
        # The vocabulary is numbered by plays.
        items_C = np.arange(FIRST, min(len(release.vocabulary), FIRST + TOP_UP))
        return Fused(items_C, np.zeros(len(items_C)), [[] for _ in items_C])

    def _lists_of(self, request: Request) -> Listed:
        if not request.scene.rest_days:
            return Listed()
        try:
            return self._lists.read(request.user_id, request.at_us, request.discovery, request.scene.rest_days)
        except sqlite3.Error:
            logger.exception("the lists of a user cannot be read; theirs is made anew")
            self._metrics.skipped.labels("daily_lists").inc()
            return Listed()

    def _side_effects(self, asked: _Asked, items: list[Item]) -> None:
        request = asked.request
        self._metrics.exposures.labels(request.scene.name, asked.release.release_id).inc(len(items))
        if not request.user_id:
            return
        try:
            hashed = features_hash(asked.user.users)
            self._exposures.write(Exposure(request, _given_by(items, asked.release), hashed, items))
        except OSError:
            # An answer without its record is worth more than no answer; the count says how many are missing.
            logger.exception("the exposure record of %s could not be written", request.request_id)
            self._metrics.skipped.labels("exposures").inc()
        # What is made for a user who could not be read would be the wrong list for the rest of the day.
        if request.scene.rest_days and asked.user.state_from != NOTHING and len(items) > asked.trace.listed:
            tracks = [
                ListedTrack(**{one.name: getattr(item, one.name) for one in fields(ListedTrack)}) for item in items
            ]
            try:
                self._lists.write(request.user_id, request.at_us, request.discovery, tracks, request.scene.rest_days)
            except sqlite3.Error:
                logger.exception("the list of %s could not be written; the next one may differ", request.request_id)
                self._metrics.skipped.labels("daily_lists").inc()


def _given_by(items: list[Item], release: ServedRelease) -> str:
    """The release that gave every item: another than `release` where all of them are of an earlier list."""
    given = {item.release for item in items}
    return given.pop() if len(given) == 1 else release.release_id


def _selected(candidates: Fused, asked: _Asked, listed: int) -> Fused:
    """The answer without chance; the first `listed` candidates stand already."""
    scene, limits = asked.request.scene, (asked.release.catalogue, asked.request.limit, asked.request.scene.per_artist)
    strength = asked.release.blend.diversity if scene.is_diverse else 0.0
    if strength == 0:
        return candidates.take(select(candidates.items_C, *limits))
    return candidates.take(select_diverse(candidates.items_C, candidates.scores_C, *limits, strength, listed))


def _share(request: Request, release: ServedRelease) -> float | None:
    """The share of discoveries that the answer is made with."""
    if request.track_id is not None:
        return None
    return float(release.fusion.share(request.scene.name) if request.discovery is None else request.discovery)
