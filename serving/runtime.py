"""Runtime: the parts of a running recommender, wired once per worker. Independent of HTTP.

Every worker is a whole recommender; what they share is in the stores of events and of the serving state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from config.settings import Settings
from event_store.opened import now_us, open_event_store, open_serving_state
from event_store.private_sessions import EVERYONE, PrivateSession
from event_store.store import StoreBusy, StoreUnavailable
from recommender.slate.scene_settings import SCENES
from recommender.user.user_batch import UserBatch
from serving.errors import RequestError
from serving.events.erasure_requests import ErasureRequests
from serving.events.feature_log import FeatureLog
from serving.events.ingest import EventIngestor
from serving.inspection.catalog_entries import describe_entry
from serving.inspection.user_inspector import UserInspector
from serving.observability.degraded_parts import EVENT_STORE, ONLINE_STORE, PRIVATE_SESSIONS, Degradation
from serving.observability.metrics import Metrics, update_metrics
from serving.observability.periodic_task import PeriodicTask
from serving.observability.structured_log import describe_response, log_request
from serving.pipeline.pipelines import Pipelines
from serving.pipeline.request import (
    Request,
    anonymize_erased_user,
    new_request_id,
    read_request,
    read_search,
)
from serving.pipeline.response import RecommendationResponse
from serving.pipeline.search import SearchAnswer, search
from serving.pipeline.stages.hydrate import Hydrator, OnlineStore
from serving.pipeline.stages.recall import Recall
from serving.pipeline.user_state import filter_context
from serving.releases.manager import ReleaseManager
from serving.releases.served_release import ServedRelease, load_release
from serving.releases.track_lookup import TrackLookup
from serving.releases.warm_up import warm_up
from serving.response_schemas import CatalogEntry, EntryKind, EventReport, Track
from serving.workers import Workers
from storage.suppression_list import SuppressionList, SuppressionListFollower

RECENT_FAILURE_S = 60.0
"""Time after its last failure during which a part without its own check is reported as degraded."""
SESSIONS_LOST = (
    "the private sessions were lost, so no plays, clicks and impressions are recorded until every session must have ended; those "
    "of a user are after the event end_private"
)
NO_EVENTS = "the store of events fails; requests are answered without the newest events, and reports are rejected"

logger = logging.getLogger(__name__)


class Runtime:
    """Opens the stores and follows the active releases.

    Args:
        settings: Settings of the service.
        metrics: Metrics of the service.
        is_service: False for a program that only computes responses (`compute`): it accepts no events, writes no data of
            users, and keeps the releases that it began with.

    Attributes:
        tracks: What the production release has of single tracks.
        inspector: What is known and stored of users.

    Raises:
        StoreUnavailable: The store of events cannot be opened.
    """

    def __init__(self, settings: Settings, metrics: Metrics, is_service: bool = True) -> None:
        self._metrics, self._settings, self._is_service = metrics, settings, is_service
        self._recall = Recall(metrics, settings.recall_deadline_ms / 1000)
        self._degradation = Degradation(metrics)
        self._events, self._state = open_event_store(settings, now_us), open_serving_state(settings, now_us)
        self._suppression = SuppressionListFollower(settings.suppression_list, self._erase_users)
        self._workers = Workers(self._state, self._describe_worker, now_us)
        self._release_manager = ReleaseManager(
            settings.releases / "active.json", self._load, self._warm_up, metrics, self._degradation, self._agree
        )
        self.tracks = TrackLookup(settings, self._release_manager)
        self._ingestor = EventIngestor(self._events, self.tracks, metrics, now_us)
        self._online = OnlineStore(self._degradation, self._events)
        self._online.open()
        self._release_manager.poll()
        self._erasures = ErasureRequests(settings)
        self._erasing = PeriodicTask("erasing", 1.0, self._erasures.work)
        feature_log = None
        if is_service:
            feature_log = FeatureLog(settings.feature_log, settings.feature_log_share, now_us)
        self._hydrator = Hydrator(self._online, metrics, feature_log)
        self.inspector = UserInspector(
            *(settings, self._release_manager, self._suppression, self._hydrator, self._recall),
            now_us=now_us,
            private_session=self._private_session,
            stored=lambda user_id: self._events.export(user_id) | self._state.export(user_id),
        )
        self._pipelines = Pipelines(self._hydrator, self._recall, self._state, metrics)
        try:
            self._erase_users(self._suppression.users)
        except StoreUnavailable as error:
            self._degradation.report(EVENT_STORE, NO_EVENTS, error)
        self._tasks = [
            PeriodicTask("suppression-list", 1.0, self._suppression.reload),
            PeriodicTask("online-store-check", 0.25, self._online.check),
        ]
        if is_service:
            self._tasks += [
                PeriodicTask("worker-report", 1.0, self._report),
                PeriodicTask("releases", 1.0, self._release_manager.poll),
                PeriodicTask("metrics", 5.0, self._update_metrics),
            ]
            self._erasing.start()
        for task in self._tasks:
            task.start()

    def _update_metrics(self) -> None:
        self._degradation.remove_expired()
        update_metrics(self._metrics, self._settings.reports / "skew.json", self._release_manager.current)

    def _describe_worker(self) -> dict[str, Any]:
        release = self._release_manager.current
        return {
            "release": release.release_id if release else None,
            "suppressed": self._suppression.digest,
        }

    def _report(self) -> None:
        self._workers.report()
        try:
            everyones = self._events.private_session(EVERYONE)
        except StoreUnavailable as error:
            self._degradation.report(EVENT_STORE, NO_EVENTS, error)
            return
        self._degradation.clear(EVENT_STORE)
        if everyones is None:
            self._degradation.clear(PRIVATE_SESSIONS)
        else:
            self._degradation.report(PRIVATE_SESSIONS, SESSIONS_LOST)

    def _agree(self, version: str, rejected: list[str]) -> tuple[int, set[str]] | None:
        """See `Workers.switch_time`; at once if this process is none of the workers, or the workers cannot be read."""
        try:
            return self._workers.switch_time(version, rejected) if self._is_service else (0, set())
        except StoreUnavailable:
            logger.exception("the live workers cannot be read; this one switches to another release at once")
            return 0, set()

    def _private_session(self, user_id: str) -> PrivateSession | None:
        """The private session of a user that lasts now; while it is not known, one that began now."""
        try:
            return self._events.private_session(user_id) if user_id else None
        except StoreUnavailable as error:
            self._degradation.report(EVENT_STORE, NO_EVENTS, error)
            return PrivateSession(now_us(), now_us())

    @property
    def is_ready(self) -> bool:
        """Whether a warm release is in service in every live worker."""
        try:
            live = [one.state["release"] for one in self._workers.live()]
        except StoreUnavailable:
            live = []
        return self._release_manager.current is not None and None not in live

    def status(self) -> dict[str, Any]:
        """Releases in service with their shares, rejected releases, live workers, and degraded parts with reasons."""
        degraded = [part.model_dump() for part in self._degradation.parts.values()]
        workers = [{"name": one.name, "release": one.state["release"]} for one in self._workers.live()]
        return {"is_ready": self.is_ready, "degraded": degraded, "workers": workers, **self._release_manager.status()}

    def _content_policy(self, territory: str | None, explicit: bool | None) -> tuple[str, bool]:
        here = self._settings
        return here.territory if territory is None else territory, here.explicit if explicit is None else explicit

    def respond(
        self, scene: str, read: Callable[..., Request], territory: str | None = None, explicit: bool | None = None
    ) -> RecommendationResponse:
        """The response to a request, from the release that serves the user.

        Args:
            scene: Scene of the request, for the log.
            read: Function of `serving.pipeline.request` that validates the request, without time, id and content policy.
            territory: Country of the listener; default: the setting.
            explicit: Whether tracks with an advisory label are allowed; default: the setting.

        Raises:
            RequestRejected: The request is invalid, or one of the ends of a path may not be played.
            UnknownTrack: The release does not have some of the tracks that the request is about.
            NoCollections, NoItemVectors: The release lacks what the scene needs.
            NotReady: No release is in service yet, or the channel of a path did not respond in time.
        """
        policy = self._content_policy(territory, explicit)
        release, request_id = self._release_manager.current, new_request_id()
        with log_request(request_id, scene) as line:
            try:
                request = read(
                    now_us=now_us(), request_id=request_id, territory=policy[0], is_explicit_wanted=policy[1]
                )
                request = anonymize_erased_user(request, self._suppression.users)
                release, arm = self._release_manager.release_for(request.user_id)
                request = replace(request, arm=arm, is_private=self._private_session(request.user_id) is not None)
                is_shown = self._is_service and not request.is_private
                response = self._pipelines.recommend(request, release, is_shown=is_shown)
                for part, why in response.trace.degraded.items():
                    if part != ONLINE_STORE:  # it reports itself
                        self._degradation.report(part, why, lasting_s=RECENT_FAILURE_S)
                self._metrics.child(self._metrics.requests, scene, "answered", release.release_id).inc()
                line.update(describe_response(request, response))
            except Exception as error:
                if isinstance(error, RequestError):
                    error.request_id = request_id
                self._metrics.requests.labels("", type(error).__name__, release.release_id if release else "").inc()
                raise
            return response

    def compute(self, request: Request, is_kept: bool = False) -> RecommendationResponse:
        """The response to a request, which is neither logged nor recorded as shown.

        With `is_kept`, a list of the day is stored, unless the user listens in private: requests of the day get the same
        tracks, and requests of the next days others.

        Raises:
            UnknownTrack, NoCollections, NotReady: As for `respond`.
        """
        request = anonymize_erased_user(request, self._suppression.users)
        release, arm = self._release_manager.release_for(request.user_id)
        is_kept = is_kept and self._private_session(request.user_id) is None
        return self._pipelines.recommend(replace(request, arm=arm), release, is_shown=False, is_kept=is_kept)

    def releases(self) -> list[ServedRelease]:
        """The production release and the canaries; empty before the first."""
        return self._release_manager.releases

    def load_user(self, request: Request) -> tuple[UserBatch, ServedRelease]:
        """The state of the request's user as arrays for the models of the release that serves the user.

        Raises:
            NotReady: No release is in service yet.
        """
        release = self._release_manager.serving_release(request.user_id)
        request = anonymize_erased_user(request, self._suppression.users)
        return self._hydrator.load_user_state(request, release).users, release

    def erase_data(self, user_id: str) -> bool:
        """Suppress the user from now on, and erase what is stored in the background, once.

        Returns:
            Whether data is being erased; if not, it was erased after an earlier request, or an operator must erase it.

        Raises:
            RequestRejected: The id is invalid.
            ErasureBusy: Another erasure is running.
            SuppressionListError, OSError: The suppression list cannot be read or written.
        """
        read_request(user_id, next(iter(SCENES)), None, now_us())
        is_erasing = self._erasures.suppress(user_id)
        self._suppression.reload()
        return is_erasing

    def search(
        self,
        query: str,
        limit: int,
        user_id: str | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
    ) -> SearchAnswer:
        """Search the tracks of the release that serves the user, or of the production release without a user.

        Raises:
            RequestRejected: The user id or the territory is invalid.
            NotReady: No release is in service yet.
        """
        policy = self._content_policy(territory, explicit)
        request = anonymize_erased_user(read_search(user_id, now_us(), *policy), self._suppression.users)
        request = replace(request, is_private=self._private_session(request.user_id) is not None)
        release = self._release_manager.serving_release(request.user_id)
        user = self._hydrator.load_user_state(request, release) if request.user_id else None
        context = filter_context(request, release, user, wanted_sounds=None)  # a search finds all tracks
        return search(query, limit, release, context, user.users if user else None)

    def describe_entry(self, kind: EntryKind, name: str) -> Track | CatalogEntry:
        """See `serving.inspection.catalog_entries.describe_entry`; for the release and the content policy of the service.

        Raises:
            UnknownTrack: The release does not have it, or it may not be played.
            NotReady: No release is in service yet.
        """
        release = self._release_manager.serving_release("")
        return describe_entry(kind, name, release, now_us(), *self._content_policy(None, None))

    def ingest_events(self, rows: list[object]) -> EventReport:
        """See `EventIngestor.ingest`.

        Raises:
            StoreUnavailable: Nothing was accepted.
        """
        try:
            return self._ingestor.ingest(rows, self._suppression.users)
        except StoreBusy:
            raise
        except StoreUnavailable as error:
            self._degradation.report(EVENT_STORE, NO_EVENTS, error)
            raise

    def close(self) -> None:
        """Stop the background tasks and close the stores."""
        self._erasing.close(is_awaited=False)  # an erasure takes minutes and continues
        for task in self._tasks:
            task.close()
        self._state.close()
        self._events.close()

    def _erase_users(self, erased: SuppressionList) -> None:
        """Let caches, feature log and stores, which may be older than the list, keep nothing of erased users from now on."""
        self._hydrator.erase_users(erased)
        self._events.suppress(erased)
        self._state.suppress(erased)

    def _load(self, folder: Path) -> ServedRelease:
        return load_release(folder, self._online.contract(), self._settings.release_public_key)

    def _warm_up(self, release: ServedRelease) -> None:
        warm_up(release, now_us(), self._recall)
