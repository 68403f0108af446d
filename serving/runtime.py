"""Runtime: the parts of a running recommender, wired once per process. Independent of HTTP.

One process per home accepts events and writes data of users: the one with the lock of the event log. A second process answers
requests without writing anything, and takes over when the first one ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.settings import Settings
from sequences.streaming.publisher import Publisher
from serving.events.erasure_requests import ErasureRequests
from serving.events.event_writing import EventTarget, EventWriting
from serving.events.ingest import IngestResult
from serving.events.online_store import OnlineStore
from serving.events.suppression import SuppressionListFollower
from serving.events.write_ahead_log import LOCK_TIMEOUT_S, EventLog, LogBusy
from serving.inspection.user_inspector import UserInspector
from serving.observability.degraded_parts import EVENT_LOG, ONLINE_STORE, Degradation
from serving.observability.metrics import Metrics
from serving.observability.monitors import ServiceMonitor, describe_response, log_request
from serving.observability.periodic_task import PeriodicTask
from serving.pipeline.daily_lists import DailyLists
from serving.pipeline.pipeline import ExposureWriter, NoExposures
from serving.pipeline.pipelines import Pipelines
from serving.pipeline.request import (
    Request,
    anonymize_erased_user,
    new_request_id,
    read_path,
    read_request,
    read_search,
    read_similar,
)
from serving.pipeline.response import RecommendationResponse
from serving.pipeline.search import SearchAnswer, search
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import Recall
from serving.pipeline.user_state import filter_context
from serving.releases.manager import ReleaseManager
from serving.releases.served_release import ALL_PARTS, ReleaseParts, ServedRelease, load_release
from serving.releases.track_lookup import TrackLookup
from serving.releases.warm_up import warm_up
from storage.file_lock import LockHeld
from storage.suppression_list import SuppressionList
from training.slate.scene_settings import CONTINUATION, PATH, SCENES, SIMILAR

if TYPE_CHECKING:
    from serving.workers.release_workers import ReleaseWorkers
    from training.data.user_batch import UserBatch

TAKEOVER_INTERVAL_S = 1.0
RECENT_FAILURE_S = 60.0
"""Time after its last failure during which a part without its own check is reported as degraded."""
OTHER_RECOMMENDER = "another recommender writes the event log of this home; this one answers, but accepts no events"

logger = logging.getLogger(__name__)


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

    Attributes:
        tracks: What the production release has of single tracks.
        inspector: What is known and stored of users.
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
        self._recall = recall or Recall(metrics, settings.recall_deadline_ms / 1000)
        self._ranking = ranking or Ranking()
        self._degradation = Degradation(metrics)
        self._release_manager = ReleaseManager(
            settings.releases / "active.json", self._load, self._warm_up, metrics, self._degradation
        )
        self.tracks = TrackLookup(settings, self._release_manager)
        self._online = OnlineStore(self.tracks.duration_of, self._degradation)
        self._online.open()
        self._publisher = Publisher(settings.broker, self.tracks.duration_of) if settings.broker else None
        if self._publisher:
            self._publisher.open()
        log = self._open_log(LOCK_TIMEOUT_S) if is_service else None
        # Start after taking the log lock: an eraser that holds the lock does not have to notify the service.
        self._suppression = SuppressionListFollower(settings.suppression_list, settings.home / "serving")
        # Before the replay: full plays are recognized by the track durations of the release.
        self._release_manager.poll()
        self._lists = DailyLists(settings.home / "serving")
        self._erasures = ErasureRequests(settings)
        self._hydrator = Hydrator(self._online, metrics)
        self._writing: EventWriting | None = None
        self.inspector = UserInspector(
            *(settings, self._release_manager, self._suppression, self._hydrator, self._recall, self._ranking),
            now_us=now_us,
            writing=lambda: self._writing,
        )
        self._pipelines = self._build_pipelines(NoExposures())
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
        except LockHeld as error:
            self._degradation.report(EVENT_LOG, OTHER_RECOMMENDER, error)
            return None
        for path in log.repaired_files:
            logger.warning("removed an incomplete, unacknowledged last line of %s", path)
        return log

    def _start_writing(self, log: EventLog) -> None:
        """Replay events that the online store lacks, then accept events and write data of users."""
        self._suppression.acknowledge()
        target = EventTarget(self._online, self._publisher, self._suppression, self._hydrator)
        self._writing = EventWriting.start(
            self._settings, log, target, self._metrics, self._degradation, now_us, self.tracks.is_known
        )
        self._hydrator.log = self._writing.feature_log
        self._pipelines = self._build_pipelines(self._writing.exposures)
        self._degradation.clear(EVENT_LOG)
        self._erasures.resume()

    def _build_pipelines(self, exposures: ExposureWriter) -> Pipelines:
        return Pipelines.build(self._hydrator, self._recall, self._ranking, self._lists, self._metrics, exposures)

    def _take_over(self) -> None:
        """Become the writer when the process that had the lock of the event log has ended."""
        if self._writing is not None or (log := self._open_log(lock_timeout_s=0)) is None:
            return
        try:
            self._start_writing(log)
        except BaseException:
            log.close()
            raise

    def _is_private(self, user_id: str) -> bool:
        """Whether the user is in a private session."""
        return self._writing is not None and self._writing.private_session(user_id) is not None

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
        with log_request(request_id, scene) as line:
            try:
                with self._suppression.snapshot() as erased:
                    request = anonymize_erased_user(read(now_us(), request_id), erased)
                    release, arm = self._release_manager.release_for(request.user_id)
                    request = replace(request, arm=arm, is_private=self._is_private(request.user_id))
                    is_shown = self._writing is not None and not request.is_private
                    response = self._pipelines.recommend(request, release, is_shown=is_shown)
                self._record_degraded(response)
                self._metrics.requests.labels(scene, "answered", release.release_id).inc()
                line.update(describe_response(request, response))
            except Exception as error:
                self._metrics.requests.labels("", type(error).__name__, release.release_id if release else "").inc()
                raise
            return response

    def compute(self, request: Request) -> RecommendationResponse:
        """The response to a request, which is neither logged nor recorded as shown.

        Raises:
            UnknownTrack, NoCollections, NotReady: As for `recommend`.
        """
        with self._suppression.snapshot() as erased:
            request = anonymize_erased_user(request, erased)
            release, arm = self._release_manager.release_for(request.user_id)
            return self._pipelines.recommend(replace(request, arm=arm), release, is_shown=False)

    def releases(self) -> list[ServedRelease]:
        """The production release and the canaries; empty before the first."""
        return self._release_manager.releases

    def load_user(self, request: Request) -> tuple[UserBatch, ServedRelease]:
        """The state of the request's user as arrays for the models of the release that serves the user.

        Raises:
            NotReady: No release is in service yet.
        """
        release = self._release_manager.serving_release(request.user_id)
        with self._suppression.snapshot() as erased:
            return self._hydrator.load_user_state(anonymize_erased_user(request, erased), release).users, release

    def _record_degraded(self, response: RecommendationResponse) -> None:
        """Report parts that failed for a response, and add those that concern every response."""
        degraded = response.trace.degraded
        for part, why in degraded.items():
            if part != ONLINE_STORE:  # it reports itself
                self._degradation.report(part, why, lasting_s=RECENT_FAILURE_S)
        if self._writing is None:
            degraded[EVENT_LOG] = OTHER_RECOMMENDER

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
        is_new = self._erasures.suppress(user_id)
        self._suppression.reload()
        return self._erasures.start() if is_new else self._erasures.repeat(user_id)

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
            NotReady: No release is in service yet; `NoSearch` if it was built without a search.
        """
        policy = self._content_policy(territory, explicit)
        request = read_search(user_id, now_us(), *policy)
        with self._suppression.snapshot() as erased:
            request = anonymize_erased_user(request, erased)
            request = replace(request, is_private=self._is_private(request.user_id))
            release = self._release_manager.serving_release(request.user_id)
            user = self._hydrator.load_user_state(request, release) if request.user_id else None
            context = replace(filter_context(request, release, user), wanted_sounds=None)  # a search finds all tracks
            return search(query, limit, release, context, user.users if user else None)

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
        self._erasures.close()
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

    def _erase_users(self, erased: SuppressionList) -> None:
        """Drop cached data of erased users, and flush the feature log so that the eraser finds its records on the disk."""
        self._hydrator.erase_users(erased)
        for release in self._release_manager.releases:
            if release.workers is not None:
                release.workers.forget_users()
        if self._writing:
            self._writing.private_sessions.erase_users(erased)
            self._writing.feature_log.flush()

    def _load(self, folder: Path) -> ServedRelease:
        release = load_release(folder, self._online.contract(), self._parts, self._settings.release_public_key)
        return replace(release, workers=self._start_workers(folder)) if self._start_workers else release

    def _warm_up(self, release: ServedRelease) -> None:
        warm_up(release, now_us(), self._recall, self._ranking)
