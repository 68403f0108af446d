"""Runtime: the parts of a running recommender, wired once per process. Knows nothing about HTTP.

One process per home accepts events and writes data of users: the one with the lock of the event log. A second process answers
requests without writing anything, and takes over when the first one ends.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from config.settings import Settings
from sequences.online import materialization_state
from sequences.streaming.publisher import Publisher
from serving.errors import NotReady
from serving.events.erasure_requests import ErasureRequests
from serving.events.event_pusher import EventPusher
from serving.events.event_schema import Event
from serving.events.exposures import Exposure, ExposureLog
from serving.events.feature_log import FeatureLog
from serving.events.ingest import EventIngestor, IngestResult
from serving.events.online_store import OnlineStore
from serving.events.private_sessions import PrivateSession, PrivateSessions
from serving.events.suppression import SuppressionListFollower
from serving.events.user_writers import UserWriters
from serving.events.write_ahead_log import LOCK_TIMEOUT_S, EventLog, LogBusy, LogLocked, LogPosition
from serving.inspection.explain import Explanation, explain
from serving.inspection.library import Library, describe_library
from serving.inspection.stored_data import StoredData, collect_stored_data
from serving.inspection.taste import Taste, describe_taste
from serving.inspection.user_profile import UserProfile, describe_user
from serving.observability import structured_log
from serving.observability.background import PeriodicTask
from serving.observability.degradation import EVENT_LOG, ONLINE_STORE, Degradation
from serving.observability.metrics import Metrics
from serving.observability.monitors import ServiceMonitor
from serving.pipeline.collection_pipeline import CollectionPipeline
from serving.pipeline.daily_lists import DailyLists
from serving.pipeline.hydrate import Hydrator
from serving.pipeline.path_pipeline import PathPipeline
from serving.pipeline.rank import Ranking
from serving.pipeline.recall import Recall
from serving.pipeline.request import (
    Request,
    new_request_id,
    read_path,
    read_request,
    read_search,
    read_similar,
)
from serving.pipeline.response import RecommendationResponse
from serving.pipeline.search import SearchResult, search
from serving.pipeline.track_pipeline import ExposureWriter, TrackPipeline, encode_tracks
from serving.releases import track_media
from serving.releases.manager import ReleaseManager
from serving.releases.served_release import ALL_PARTS, ReleaseParts, ServedRelease, load_release
from serving.releases.warm_up import warm_up
from storage.media_paths import MediaPaths
from storage.suppression_list import SuppressionList
from training.data.exclusions import Exclusions
from training.slate.filters import FilterContext
from training.slate.scenes import CONTINUATION, PATH, SCENES, SIMILAR, TRACKS

if TYPE_CHECKING:
    from media.rendered import RenderedMedia
    from serving.workers.release_workers import ReleaseWorkers
    from training.data.user_batch import UserBatch

TAKEOVER_INTERVAL_S = 1.0
RECENT_FAILURE_S = 60.0
"""Time after its last failure during which a part without its own check is reported as degraded."""
OTHER_RECOMMENDER = "another recommender writes the event log of this home; this one answers, but accepts no events"
NO_RELEASE_MESSAGE = "no release is in service yet; `make run` or the DAG release_models creates one"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EventWriting:
    """What only the process with the lock of the event log may do: accept events, and write data of users to the disk."""

    log: EventLog
    pusher: EventPusher
    ingestor: EventIngestor
    exposures: ExposureLog
    feature_log: FeatureLog
    private_sessions: PrivateSessions

    def close(self) -> None:
        """Push and write what is pending, and release the lock."""
        # Each one is closed even if another cannot write, for instance on a full disk.
        with ExitStack() as last_first:
            for part in (self.private_sessions, self.feature_log, self.exposures, self.log, self.pusher):
                last_first.callback(part.close)


class _NoExposures:
    """The exposure log of a process that must not write."""

    def write(self, exposure: Exposure) -> None:
        """Nothing."""


def now_us() -> int:
    """Current time, µs since 1970, UTC."""
    return time.time_ns() // 1000


class Runtime:
    """Opens the event log, replays events that the online store lacks, and follows the active releases.

    Args:
        settings: Settings of the service.
        metrics: Metrics of the service.
        recall: Recall stage; default: the channels in this process.
        ranking: Ranking stage; default: the ranker in this process.
        parts: Models of a release to load in this process.
        is_service: False for a program that only computes responses (`compute`): it accepts no events, writes no data of
            users, and keeps the releases that it began with.
        start_workers: Starts the processes that run the models of the release in a folder; None: there are none.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        recall: Recall | None = None,
        ranking: Ranking | None = None,
        parts: ReleaseParts = ALL_PARTS,
        is_service: bool = True,
        start_workers: Callable[[Path], ReleaseWorkers] | None = None,
    ) -> None:
        self._start_workers = start_workers
        self._metrics, self._settings, self._parts = metrics, settings, parts
        self._recall = recall or Recall(metrics, settings.recall_deadline_ms / 1000, settings.concurrent_requests)
        self._ranking = ranking or Ranking()
        self._degradation = Degradation(metrics)
        self._online = OnlineStore(self._duration_of, self._degradation)
        self._online.open()
        self._simulations: dict[Path, tuple[int, RenderedMedia]] = {}
        self._publisher = Publisher(settings.broker, self._duration_of) if settings.broker else None
        if self._publisher:
            self._publisher.open()
        log = self._open_log(LOCK_TIMEOUT_S) if is_service else None
        # Start after taking the log lock: an eraser that holds the lock does not have to notify the service.
        self._suppression = SuppressionListFollower(settings.suppression_list, settings.home / "serving")
        self._release_manager = ReleaseManager(
            settings.releases / "active.json", self._load, self._warm_up, metrics, self._degradation
        )
        # Before the replay: full plays are recognized by the track durations of the release.
        self._release_manager.poll()
        self._lists = DailyLists(settings.home / "serving")
        self._erasures = ErasureRequests(settings)
        self._hydrator = Hydrator(self._online, metrics)
        self._writing: EventWriting | None = None
        self._build_pipelines(_NoExposures())
        if log is not None:
            self._start_writing(log)
        self._monitor = ServiceMonitor(
            metrics,
            settings.reports / "skew.json",
            self._pending_reports,
            lambda: self._release_manager.current,
            self._degradation,
        )
        self._takeover_task = PeriodicTask("event-log-takeover", TAKEOVER_INTERVAL_S, self._take_over)
        self._suppression.start(self._erase_users)
        self._online.start()
        if is_service:
            self._release_manager.start()
            self._monitor.start()
            self._takeover_task.start()

    def _open_log(self, lock_timeout_s: float) -> EventLog | None:
        """The event log; None if another process has its lock."""
        here = self._settings
        try:
            log = EventLog(here.event_log, here.home / "serving", now_us, lock_timeout_s)
        except LogLocked as error:
            self._degradation.report(EVENT_LOG, OTHER_RECOMMENDER, error)
            return None
        for path in log.repaired_files:
            logger.warning("removed an incomplete, unacknowledged last line of %s", path)
        return log

    def _start_writing(self, log: EventLog) -> None:
        """Replay events that the online store lacks, then accept events and write data of users."""
        settings, metrics = self._settings, self._metrics
        self._suppression.acknowledge()
        pusher = EventPusher(log, UserWriters(self._apply), self._degradation, self._exclude_replayed)
        replayed = pusher.start()
        logger.info("%d logged events were replayed to the online store", replayed)
        private_sessions = PrivateSessions(settings.home / "serving", now_us)
        self._writing = EventWriting(
            log=log,
            pusher=pusher,
            ingestor=EventIngestor(
                log,
                pusher,
                self._hydrator.record_exclusions,
                metrics,
                now_us,
                self._is_known_track,
                private_sessions.remove_private,
            ),
            exposures=ExposureLog(settings.event_log, now_us),
            feature_log=FeatureLog(
                settings.request_log, settings.feature_log_share, now_us, lambda: self._applied_position(log)
            ),
            private_sessions=private_sessions,
        )
        self._hydrator.log = self._writing.feature_log
        self._build_pipelines(self._writing.exposures)
        self._degradation.clear(EVENT_LOG)

    def _build_pipelines(self, exposures: ExposureWriter) -> None:
        metrics = self._metrics
        self._track_pipeline = TrackPipeline(
            self._hydrator, self._recall, self._lists, exposures, metrics, self._ranking
        )
        self._collection_pipeline = CollectionPipeline(self._hydrator, self._recall, exposures, metrics)
        self._path_pipeline = PathPipeline(self._hydrator, self._recall, exposures, metrics)

    def _take_over(self) -> None:
        """Become the writer when the process that had the lock of the event log has ended."""
        if self._writing is not None or (log := self._open_log(lock_timeout_s=0)) is None:
            return
        try:
            self._start_writing(log)
        except BaseException:
            log.close()
            raise

    def _pending_reports(self) -> int:
        return self._writing.pusher.pending_reports if self._writing else 0

    @property
    def is_ready(self) -> bool:
        """Whether a warm release is in service and events can be logged."""
        return self._release_manager.current is not None and self._writing is not None and self._writing.log.is_alive

    @property
    def is_alive(self) -> bool:
        """Whether the event log can commit or is another process's; if not, only a restart helps."""
        return self._writing is None or self._writing.log.is_alive

    def status(self) -> dict[str, Any]:
        """Releases in service with their shares, rejected releases and degraded parts with reasons."""
        degraded = [part.to_json() for part in self._degradation.parts.values()]
        return {"is_ready": self.is_ready, "degraded": degraded, **self._release_manager.status()}

    def recommend(
        self,
        user_id: str | None,
        scene: str,
        limit: int | None,
        discovery: float | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
        seeds: Sequence[str] = (),
        title: str = "",
        exclude: Sequence[str] = (),
    ) -> RecommendationResponse:
        """Recommendations from the release that serves the user. `territory` and `explicit` default to the settings.

        With `seeds` or a `title`, the tracks that continue this playlist.

        Raises:
            RequestRejected: The request is invalid.
            UnknownTrack: The release does not have some of the seeds.
            NoCollections: The release has no items of the scene's type.
            NotReady: No release is in service yet.
        """
        policy = self._content_policy(territory, explicit)
        return self._serve(
            CONTINUATION.name if seeds or title.strip() else scene,
            lambda now, own_id: read_request(
                user_id, scene, limit, now, discovery, own_id, *policy, seeds=seeds, title=title, exclude=exclude
            ),
        )

    def similar(
        self,
        track_id: str,
        limit: int | None,
        user_id: str | None,
        territory: str | None = None,
        explicit: bool | None = None,
    ) -> RecommendationResponse:
        """Tracks similar to `track_id`.

        Raises:
            RequestRejected: The request is invalid.
            UnknownTrack: The release does not have the track.
            NotReady: No release is in service yet.
        """
        policy = self._content_policy(territory, explicit)
        return self._serve(
            SIMILAR.name, lambda now, own_id: read_similar(track_id, limit, user_id, now, own_id, *policy)
        )

    def path(
        self,
        first: str,
        last: str,
        length: int | None,
        user_id: str | None,
        territory: str | None = None,
        explicit: bool | None = None,
    ) -> RecommendationResponse:
        """A smooth path of tracks from track `first` to track `last`.

        Raises:
            RequestRejected: The request is invalid, or one of the tracks may not be played.
            UnknownTrack: The release does not have one of the tracks.
            NoItemVectors: The release has no channel with item vectors.
            NotReady: No release is in service yet, or its channel did not respond in time.
        """
        policy = self._content_policy(territory, explicit)
        return self._serve(PATH.name, lambda now, own_id: read_path(first, last, length, user_id, now, own_id, *policy))

    def _content_policy(self, territory: str | None, explicit: bool | None) -> tuple[str, bool]:
        here = self._settings
        return here.territory if territory is None else territory, here.explicit if explicit is None else explicit

    def _serve(self, scene: str, read: Callable[[int, str], Request]) -> RecommendationResponse:
        release, request_id = self._release_manager.current, new_request_id()
        token, began = structured_log.REQUEST_ID.set(request_id), time.perf_counter()
        line: dict[str, object] = {"outcome": "answered", "scene": scene[:64]}
        try:
            with self._suppression.snapshot() as erased:
                request = _anonymize_erased_user(read(now_us(), request_id), erased)
                release, arm = self._release_manager.release_for(request.user_id)
                if release is None:
                    raise NotReady(NO_RELEASE_MESSAGE)
                pipeline = self._pipeline_of(request)
                request = replace(request, arm=arm, is_private=self._private_session(request.user_id) is not None)
                is_shown = self._writing is not None and not request.is_private
                response = pipeline.recommend(request, release, is_shown=is_shown)
            self._record_degraded(response)
            self._metrics.requests.labels(scene, "answered", release.release_id).inc()
            line |= {request.scene.item_type: len(response.items), **vars(response.trace)}
        except Exception as error:
            line |= {"outcome": type(error).__name__, "error": str(error)}
            self._metrics.requests.labels("", type(error).__name__, release.release_id if release else "").inc()
            raise
        else:
            return response
        finally:
            line["ms"] = round((time.perf_counter() - began) * 1000, 3)
            logger.info("request", extra={"fields": line})
            structured_log.REQUEST_ID.reset(token)

    def compute(self, request: Request) -> RecommendationResponse:
        """The response to a request, which is neither logged nor recorded as shown.

        Raises:
            UnknownTrack, NoCollections, NotReady: As for `recommend`.
        """
        with self._suppression.snapshot() as erased:
            request = _anonymize_erased_user(request, erased)
            release, arm = self._release_manager.release_for(request.user_id)
            if release is None:
                raise NotReady(NO_RELEASE_MESSAGE)
            return self._pipeline_of(request).recommend(replace(request, arm=arm), release, is_shown=False)

    def releases(self) -> list[ServedRelease]:
        """The production release and the canaries; empty before the first."""
        return self._release_manager.releases

    def load_user(self, request: Request) -> tuple[UserBatch, ServedRelease]:
        """The state of the request's user as arrays for the models of the release that serves the user.

        Raises:
            NotReady: No release is in service yet.
        """
        release = self._release_for(request.user_id)
        with self._suppression.snapshot() as erased:
            return self._hydrator.load_user_state(_anonymize_erased_user(request, erased), release).users, release

    def _pipeline_of(self, request: Request) -> TrackPipeline | CollectionPipeline | PathPipeline:
        if request.scene.name == PATH.name:
            return self._path_pipeline
        return self._track_pipeline if request.scene.item_type == TRACKS else self._collection_pipeline

    def _record_degraded(self, response: RecommendationResponse) -> None:
        """Report parts that failed for a response, and add those that concern every response."""
        degraded = response.trace.degraded
        for part, why in degraded.items():
            if part != ONLINE_STORE:  # it reports itself
                self._degradation.report(part, why, lasting_s=RECENT_FAILURE_S)
        if self._writing is None:
            degraded[EVENT_LOG] = OTHER_RECOMMENDER

    def describe_user(self, user_id: str) -> UserProfile:
        """The profile of a user, by the release that serves them.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: No release is in service yet.
        """
        request = read_request(user_id, next(iter(SCENES)), None, now_us())
        release = self._release_for(user_id)
        with self._suppression.snapshot() as erased:
            user = self._hydrator.load_user_state(_anonymize_erased_user(request, erased), release)
            profile = describe_user(user, release, self._recall)
        return replace(profile, user_id=user_id)

    def describe_taste(self, user_id: str) -> Taste:
        """What shapes the recommendations of a user, and what the user left out, by the release that serves them.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: No release is in service yet, or the online store fails.
        """
        request = read_request(user_id, next(iter(SCENES)), None, now_us())
        release = self._release_for(user_id)
        with self._suppression.snapshot() as erased:
            request = _anonymize_erased_user(request, erased)
            try:
                rows = self._hydrator.read_views(request.user_id)
            except Exception as error:
                raise NotReady("the online store does not respond; retry later") from error
            user = self._hydrator.load_user_state(replace(request, is_private=True), release)
            taste = describe_taste(user, rows, release, self._recall, self._private_session(request.user_id))
        return replace(taste, user_id=user_id)

    def export_data(self, user_id: str) -> StoredData:
        """Everything that is stored about the user; nothing for an erased one.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: The online store does not respond.
        """
        request = read_request(user_id, next(iter(SCENES)), None, now_us())
        with self._suppression.snapshot() as erased:
            if not _anonymize_erased_user(request, erased).user_id:
                return StoredData({}, [])
            if self._writing:
                self._writing.feature_log.flush()
            try:
                online = self._hydrator.read_views(user_id)
            except Exception as error:
                raise NotReady("the online store does not respond; retry later") from error
            return collect_stored_data(user_id, self._settings, online)

    def erase_data(self, user_id: str) -> bool:
        """Suppress the user from now on, and erase what is stored in the background.

        Returns:
            Whether the erasure has begun; if not, an operator must run it.

        Raises:
            RequestRejected: The id is invalid.
            ErasureBusy: Another erasure is running.
        """
        read_request(user_id, next(iter(SCENES)), None, now_us())
        self._erasures.suppress(user_id)
        self._suppression.reload()
        return self._erasures.start()

    def _private_session(self, user_id: str) -> PrivateSession | None:
        """The private session of the user that lasts now; None without one."""
        return self._writing.private_sessions.current(user_id) if self._writing and user_id else None

    def describe_library(self, user_id: str) -> Library:
        """What the user liked, saved, hid and blocked, by the release that serves them.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: No release is in service yet, or the online store fails.
        """
        request = read_request(user_id, next(iter(SCENES)), None, now_us())
        release = self._release_for(user_id)
        with self._suppression.snapshot() as erased:
            try:
                rows = self._hydrator.read_views(_anonymize_erased_user(request, erased).user_id)
            except Exception as error:
                raise NotReady("the online store does not respond; retry later") from error
        return describe_library(user_id, rows, release)

    def explain(self, user_id: str, track_id: str, scene: str) -> Explanation:
        """Why a track suits a user, by the release that serves them.

        Raises:
            RequestRejected: An id or the scene is invalid.
            UnknownTrack: The release does not have the track.
            NotReady: No release is in service yet.
        """
        request = read_request(user_id, scene if scene in SCENES else next(iter(SCENES)), None, now_us())
        release = self._release_for(user_id)
        item = int(encode_tracks([track_id], release, "use the id of another track")[0])
        with self._suppression.snapshot() as erased:
            user = self._hydrator.load_user_state(_anonymize_erased_user(request, erased), release)
            return explain(item, user.users, release, self._recall, self._ranking)

    def search(
        self,
        query: str,
        limit: int,
        user_id: str | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
    ) -> list[SearchResult]:
        """Search the tracks of the release that serves the user, or of the production release without a user.

        Raises:
            RequestRejected: The user id or the territory is invalid.
            NotReady: No release is in service yet, or it was built without a search.
        """
        policy = self._content_policy(territory, explicit)
        request = read_search(user_id, now_us(), *policy)
        with self._suppression.snapshot() as erased:
            request = _anonymize_erased_user(request, erased)
            release = self._release_for(request.user_id)
            user = self._hydrator.load_user_state(request, release) if request.user_id else None
            context = FilterContext(
                release.catalog,
                user.exclusions if user else Exclusions(),
                release.vocabulary.track_code,
                request.at_us,
                territory=request.territory,
                is_explicit_wanted=request.is_explicit_wanted,
            )
            return search(query, limit, release, context, user.users if user else None)

    def find_media(self, kind: str, track_id: str) -> Path:
        """The file with the audio or the cover of a track of the production release, which need not exist.

        Raises:
            UnknownTrack: The release does not have the track.
            FileNotFoundError: The track has no such file.
            NotReady: No release is in service yet.
        """
        # A new object for each request, so that folders that were landed again are found.
        paths = MediaPaths(self._settings.media, self._settings.media_root, simulations=self._simulations)
        return track_media.find_file(self._release_for(""), kind, track_id, paths)

    def artist_tracks(self, artist_id: str, most: int) -> list[str]:
        """Ids of the most played tracks of an artist in the production release; empty if it does not have the artist."""
        release = self._release_manager.current
        artist = release.vocabulary.artist_code.get(artist_id) if release else None
        if release is None or artist is None:
            return []
        # Items are numbered by decreasing play count.
        return release.vocabulary.decode(np.flatnonzero(release.catalog.main_artist_V == artist)[:most])

    def list_users(self, limit: int, after: str = "") -> list[str]:
        """At most `limit` sorted ids, greater than `after`, of users whose features were materialized.

        None if their record cannot be read.
        """
        try:
            return materialization_state.materialized_users(
                materialization_state.digests_file(self._settings.feast, self._settings.online_store), limit, after
            )
        except sqlite3.DatabaseError:
            logger.exception("the record of materialized users cannot be read")
            return []

    def _release_for(self, user_id: str) -> ServedRelease:
        release, _ = self._release_manager.release_for(user_id)
        if release is None:
            raise NotReady(NO_RELEASE_MESSAGE)
        return release

    def ingest_events(self, rows: list[object]) -> IngestResult:
        """See `EventIngestor.ingest`.

        Raises:
            LogBusy: Too many reports are queued, or another recommender writes the event log.
            OSError: The write failed; nothing was accepted.
        """
        if self._writing is None:
            raise LogBusy(OTHER_RECOMMENDER)
        with self._suppression.snapshot() as erased:
            return self._writing.ingestor.ingest(rows, erased)

    def close(self) -> None:
        """Stop the background tasks, write and push pending events, and close the files."""
        self._takeover_task.close()
        self._monitor.close()
        self._suppression.close()
        self._release_manager.close()
        self._online.close()
        if self._writing:
            self._writing.close()
        if self._publisher:
            self._publisher.close()
        self._lists.close()
        for release in self._release_manager.releases:
            if release.workers is not None:
                release.workers.close()

    def _apply(self, events_of: Mapping[str, list[Event]]) -> None:
        """Apply events to the online store or publish them to the broker, except those of users erased since."""
        apply = self._publisher.publish if self._publisher else self._online.apply
        with self._suppression.snapshot() as erased:
            apply({user: events for user, events in events_of.items() if user not in erased})

    def _exclude_replayed(self, events: Sequence[Event]) -> None:
        """Cache the exclusions of replayed events, except those of erased users."""
        with self._suppression.snapshot() as erased:
            self._hydrator.record_exclusions([event for event in events if event["user_id"] not in erased])

    def _applied_position(self, log: EventLog) -> LogPosition | None:
        """Position up to which the live log is in the online store; None with a broker, where it is unknown."""
        return None if self._publisher else log.low_watermark.position

    def _erase_users(self, erased: SuppressionList) -> None:
        """Drop cached data of erased users, and flush the feature log so that the eraser finds its records on the disk."""
        self._hydrator.erase_users(erased)
        for release in self._release_manager.releases:
            if release.workers is not None:
                release.workers.forget_users()
        if self._writing:
            self._writing.private_sessions.erase_users(erased)
            self._writing.feature_log.flush()

    def _duration_of(self, track_id: str) -> int | None:
        release = self._release_manager.current
        item = release.vocabulary.track_code.get(track_id) if release else None
        return int(release.catalog.duration_ms_V[item]) or None if release and item is not None else None

    def _is_known_track(self, track_id: str) -> bool:
        """Whether the production release has the track; True without a release, which cannot tell."""
        release = self._release_manager.current
        return release is None or track_id in release.vocabulary.track_code

    def _load(self, folder: Path) -> ServedRelease:
        release = load_release(folder, self._online.contract(), self._parts, self._settings.release_public_key)
        return replace(release, workers=self._start_workers(folder)) if self._start_workers else release

    def _warm_up(self, release: ServedRelease) -> None:
        warm_up(release, now_us(), self._recall, self._ranking)


def _anonymize_erased_user(request: Request, erased: SuppressionList) -> Request:
    """The request without its user id if the user was erased: no user data is read or written."""
    return replace(request, user_id="") if request.user_id in erased else request
