"""The path of a request for playlists or mlogs: hydrate ▸ recall ▸ filter ▸ side effects.

As the path of tracks, but for what is left out: one source finds them, so nothing is fused, and no ranker knows them.
Where the source fails or is late, what is opened most answers. Knows nothing about HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sequences.batch import FIRST
from serving.answer import Answer, ContainerTrack, MlogItem, PlaylistItem
from serving.exposures import Exposure, features_hash
from serving.hydrate import Hydrate, Hydrated
from serving.metrics import Metrics
from serving.path import Exposed
from serving.recall import Recall
from serving.request import Request
from serving.served_release import ServedRelease
from serving.trace import Trace
from training.containers import Shelf
from training.filter import Shown, keep

TRACKS_SHOWN = 5
MOST_OPENED = "because it is among the most opened"
Item = PlaylistItem | MlogItem

logger = logging.getLogger(__name__)


class NoContainers(LookupError):
    """A scene is of something that the release has none of; the message names both."""


@dataclass(frozen=True)
class _Chosen:
    """A container of the answer, and which of its tracks may be played."""

    number: int
    items: np.ndarray
    score: float
    is_recalled: bool


class ContainerPath:
    """Composes the stages. Thread-safe: a request's state lives in its call."""

    def __init__(self, hydrate: Hydrate, recall: Recall, exposures: Exposed, metrics: Metrics) -> None:
        self._hydrate, self._recall, self._exposures, self._metrics = hydrate, recall, exposures, metrics

    def answer(self, request: Request, release: ServedRelease) -> Answer:
        """At most `request.limit` containers of the scene, best first.

        Raises:
            NoContainers: the release has none.
        """
        metrics, scene = self._metrics, request.scene
        shelf = release.shelves.get(scene.of)
        if shelf is None or len(shelf.containers) <= FIRST:
            raise NoContainers(
                f"release {release.release_id} has no {scene.of}; land some and train, or ask for another scene"
            )
        trace = Trace(release.release_id, None)
        with metrics.request_seconds.labels(scene.name, release.release_id).time():
            with trace.timed("hydrate", metrics):
                user = self._hydrate.user(request, release)
                trace.state_from = user.state_from
            with trace.timed("recall", metrics):
                recalled = self._recall.of_users(release, user.users, scene.recalled, [shelf.name])
                trace.recalled(recalled)
                found = recalled.candidates.get(shelf.name)
                items, scores = (
                    (found.items_BK[0], found.scores_BK[0]) if found is not None else (np.zeros(0, int), np.zeros(0))
                )
                trace.fused = int((items > 0).sum())
            with trace.timed("filter", metrics):
                chosen = list(self._chosen(items, scores, shelf, user, request, release, trace))
            with trace.timed("select", metrics):
                shown = self._items(chosen, shelf, user, release)
            with trace.timed("side_effects", metrics):
                self._side_effects(request, release, user, shown)
        return Answer(request.request_id, release.release_id, shown, trace, request.arm)

    def _chosen(
        self,
        items: np.ndarray,
        scores: np.ndarray,
        shelf: Shelf,
        user: Hydrated,
        request: Request,
        release: ServedRelease,
        trace: Trace,
    ) -> Iterator[_Chosen]:
        """The first that may be shown, then of the most opened, until the answer is full."""
        score_of = {int(number): float(score) for number, score in zip(items, scores, strict=True) if number > 0}
        excluded = {name for kind, name in user.exclusions.containers if kind == shelf.containers.kind}
        wanted = request.territory, request.is_explicit_wanted
        nothing = np.zeros(0, dtype=np.int64)
        shown = Shown(
            release.catalogue, user.exclusions, release.vocabulary.track_code, request.at_us, nothing, *wanted
        )
        count = 0
        for number in dict.fromkeys([*score_of, *shelf.popular_K.tolist()]):
            if count == request.limit:
                return
            tracks = shelf.containers.tracks[number]
            places, _ = keep(tracks, shown)
            if shelf.containers.ids_N[number] in excluded:
                self._removed(f"excluded_{shelf.name}", trace)
            elif not len(places) or (shelf.needs_every_track and len(places) < len(tracks)):
                self._removed(f"unplayable_{shelf.name}", trace)
            else:
                count += 1
                yield _Chosen(number, tracks[places], score_of.get(number, 0.0), number in score_of)

    def _removed(self, name: str, trace: Trace) -> None:
        trace.filtered({name: 1})
        self._metrics.removed.labels(name).inc()

    def _items(self, chosen: list[_Chosen], shelf: Shelf, user: Hydrated, release: ServedRelease) -> list[Item]:
        recalled = [one.number for one in chosen if one.is_recalled]
        said: dict[int, str] = {}
        try:
            if recalled:
                told = self._recall.reasons(release, shelf.name, user.users, recalled)
                said = dict(zip(recalled, told, strict=True))
        except Exception:
            logger.exception("%s give no reason", shelf.name)
            self._metrics.skipped.labels(f"reason_{shelf.name}").inc()
        return [
            _item(one, shelf, release, said.get(one.number, "") if one.is_recalled else MOST_OPENED) for one in chosen
        ]

    def _side_effects(self, request: Request, release: ServedRelease, user: Hydrated, items: list[Item]) -> None:
        self._metrics.exposures.labels(request.scene.name, release.release_id).inc(len(items))
        try:
            self._exposures.write(Exposure(request, release.release_id, features_hash(user.users), items))
        except OSError:
            # An answer without its record is worth more than no answer; the count says how many are missing.
            logger.exception("the exposure record of %s could not be written", request.request_id)
            self._metrics.skipped.labels("exposures").inc()


def _item(chosen: _Chosen, shelf: Shelf, release: ServedRelease, reason: str) -> Item:
    name, title = (str(column[chosen.number]) for column in (shelf.containers.ids_N, shelf.containers.titles_N))
    catalogue, track_ids_V = release.catalogue, release.vocabulary.track_ids_V
    words: dict[str, Any] = {
        "title": title,
        "score": round(chosen.score, 6),
        "channels": [shelf.name] if chosen.is_recalled else [],
        "reason": reason,
        "tracks": [
            ContainerTrack(
                str(track_ids_V[item]),
                catalogue.titles_V[item],
                catalogue.artist_names_V[item],
                int(catalogue.duration_ms_V[item]),
                catalogue.audio_urls_V[item] or None,
            )
            for item in chosen.items[:TRACKS_SHOWN].tolist()
        ],
    }
    return (
        PlaylistItem(playlist_id=name, **words)
        if shelf.containers.kind == "playlist"
        else MlogItem(mlog_id=name, **words)
    )
