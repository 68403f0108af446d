"""The request path: hydrate ▸ recall ▸ fuse ▸ filter ▸ rank ▸ select ▸ side effects.

One call answers one request from one release, which it holds from start to end. Each stage is a noun of its own in this
folder; here they are only put in order, timed and counted. Knows nothing about HTTP.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sequences.batch import FIRST
from serving import fuse, rank
from serving.fuse import Fused
from serving.hydrate import Hydrate, Hydrated
from serving.metrics import Metrics
from serving.recall import POPULARITY, Recall, Recalled
from serving.request import Request
from serving.select import select
from serving.served_release import ServedRelease
from serving.trace import Trace
from training.filter import Shown, keep

TOP_UP = 1000
MOST_PLAYED = "because it is among the most played tracks"

logger = logging.getLogger(__name__)


class Exposed(Protocol):
    """Where shown tracks are written down."""

    def write(self, request: Request, track_ids: list[str]) -> None:
        """One impression a track, in the order shown."""


@dataclass(frozen=True)
class Item:
    """One track of the answer and why it is there; `channels` names who found it, the one that placed it best first."""

    track_id: str
    title: str
    artists: list[str]
    score: float
    channels: list[str]
    reason: str


@dataclass(frozen=True)
class Answer:
    """What a request gets; `release` is the one that gave all of it, and `trace` says how."""

    request_id: str
    release: str
    items: list[Item]
    trace: Trace | None = None


class RecommendPath:
    """Composes the stages. Thread-safe: a request's state lives in its call."""

    def __init__(self, hydrate: Hydrate, recall: Recall, exposures: Exposed, metrics: Metrics) -> None:
        self._hydrate, self._recall, self._exposures, self._metrics = hydrate, recall, exposures, metrics

    def answer(self, request: Request, release: ServedRelease, is_shown: bool = True) -> Answer:
        """At most `request.limit` tracks, best first; nothing is written down for an answer that is not shown."""
        metrics, scene = self._metrics, request.scene
        trace = Trace(release.release_id, _share(request, release))
        with metrics.request_seconds.labels(scene.name).time():
            with trace.timed("hydrate", metrics):
                user = self._hydrate.user(request, release)
            with trace.timed("recall", metrics):
                recalled = self._recalled(user, scene.recalled, release)
                trace.recalled(recalled)
            with trace.timed("fuse", metrics):
                fused = fuse.fuse(release, scene, user.users, recalled.candidates, request.discovery)
                trace.fused = len(fused)
            with trace.timed("filter", metrics):
                fused = self._filtered(fused, request, user, release, trace).first(scene.ranked)
                trace.ranked = len(fused)
            with trace.timed("rank", metrics):
                fused = rank.rank(release, user.users, fused, metrics)
            with trace.timed("select", metrics):
                chosen = fused.take(select(fused.items_C, release.catalogue, request.limit, scene.per_artist))
                if len(chosen) < request.limit:
                    chosen = self._topped_up(chosen, request, user, release, trace)
                items = [self._item(chosen, place, user, release) for place in range(len(chosen))]
            if is_shown:
                with trace.timed("side_effects", metrics):
                    self._side_effects(request, release, items)
        return Answer(request.request_id, release.release_id, items, trace)

    def _filtered(self, fused: Fused, request: Request, user: Hydrated, release: ServedRelease, trace: Trace) -> Fused:
        shown = Shown(release.catalogue, user.exclusions, release.vocabulary.track_code, request.at_us)
        places, removed = keep(fused.items_C, shown)
        trace.filtered(removed)
        for name, count in removed.items():
            self._metrics.removed.labels(name).inc(count)
        return fused.take(places)

    def _recalled(self, user: Hydrated, k: int, release: ServedRelease) -> Recalled:
        """Every channel's `k` best; of popularity alone for a user nobody knows."""
        channels = release.channels
        if not user.is_known and POPULARITY in channels:
            channels = {POPULARITY: channels[POPULARITY]}
        return self._recall.ask(channels, lambda channel: channel.recall(user.users, k))

    def _topped_up(
        self, chosen: Fused, request: Request, user: Hydrated, release: ServedRelease, trace: Trace
    ) -> Fused:
        """The chosen tracks, then popular ones until the answer is full or nothing is left that may be shown."""
        more = chosen.followed_by(self._popular(request, user, release, trace))
        more = self._filtered(more, request, user, release, trace)
        return more.take(select(more.items_C, release.catalogue, request.limit, request.scene.per_artist))

    def _popular(self, request: Request, user: Hydrated, release: ServedRelease, trace: Trace) -> Fused:
        """What the channel of popularity finds; without it, the tracks that were played most, which no channel found."""
        if POPULARITY in release.channels and POPULARITY not in trace.left_out:
            only = {POPULARITY: release.channels[POPULARITY]}
            again = self._recall.ask(only, lambda channel: channel.recall(user.users, TOP_UP))
            if again.candidates:
                return fuse.fuse(release, request.scene, user.users, again.candidates, request.discovery)
        # The vocabulary is numbered by plays.
        items_C = np.arange(FIRST, min(len(release.vocabulary), FIRST + TOP_UP))
        return Fused(items_C, np.zeros(len(items_C)), [[] for _ in items_C])

    def _item(self, chosen: Fused, place: int, user: Hydrated, release: ServedRelease) -> Item:
        item, channels = int(chosen.items_C[place]), chosen.channels_C[place]
        return Item(
            track_id=str(release.vocabulary.track_ids_V[item]),
            title=release.catalogue.titles_V[item],
            artists=release.catalogue.artist_names_V[item],
            score=round(float(np.nan_to_num(chosen.scores_C[place])), 6),
            channels=channels,
            reason=self._reason(channels, item, user, release),
        )

    def _reason(self, channels: list[str], item: int, user: Hydrated, release: ServedRelease) -> str:
        for name in channels:
            try:
                return release.channels[name].reason(user.users, item)
            except Exception:
                logger.exception("channel %s gives no reason", name)
                self._metrics.skipped.labels(f"reason_{name}").inc()
        return "" if channels else MOST_PLAYED

    def _side_effects(self, request: Request, release: ServedRelease, items: list[Item]) -> None:
        self._metrics.exposures.labels(request.scene.name, release.release_id).inc(len(items))
        try:
            self._exposures.write(request, [item.track_id for item in items])
        except OSError:
            # An answer without its impressions is worth more than no answer; the count says how many are missing.
            logger.exception("the impressions of %s could not be written", request.request_id)
            self._metrics.skipped.labels("exposures").inc()


def _share(request: Request, release: ServedRelease) -> float:
    """The share of discoveries that the answer is made with."""
    return float(release.fusion.share(request.scene.name) if request.discovery is None else request.discovery)
