"""The recommender over HTTP: thin methods over `serving.runtime`. Only this file and `composed.py` import bentoml."""

from __future__ import annotations

import functools
import logging
from dataclasses import asdict
from typing import Annotated, Any

import bentoml
from pydantic import Field
from starlette.responses import JSONResponse, Response

from config import garbage_collector, settings
from serving.events.write_ahead_log import LogBusy
from serving.http import openapi
from serving.http.access_policy import AccessControl, AccessPolicy
from serving.http.admission import Admission, RequestQueue
from serving.http.api_keys import ApiKeys, check_host
from serving.http.rate_limit import RateLimit
from serving.http.request_guard import RequestGuard
from serving.http.static_page import ListeningPage
from serving.http.validation_errors import ValidationErrorFormatter, ValidationLogFilter
from serving.observability import structured_log
from serving.observability.metrics import Metrics
from serving.pipeline.collection_pipeline import NoCollections
from serving.pipeline.request import MAX_ID_BYTES, RequestRejected
from serving.pipeline.track_pipeline import UnknownTrack
from serving.runtime import NotReady, Runtime
from serving.scenes import SCENES, SIMILAR
from serving.schemas import (
    EventReport,
    Explicit,
    ReasonLanguage,
    Recommendation,
    SearchResults,
    Territory,
    UserIds,
    UserProfileResponse,
    render_recommendation,
)

MAX_CONCURRENT_REPORTS = 16
THREADS = settings.MAX_CONCURRENT_REQUESTS + MAX_CONCURRENT_REPORTS
MAX_CONCURRENCY = 256
MAX_WAITING_REQUESTS, MAX_WAITING_REPORTS = 64, 128  # fewer than MOST_WAITING in all, where BentoML would say 429
MAX_EVENTS = 1000
MAX_LISTED, MAX_QUERY_LENGTH = 50, 100


@bentoml.service(threads=THREADS, workers=1, traffic={"timeout": 30, "max_concurrency": MAX_CONCURRENCY})
class Recommender:
    """Recommends tracks and takes the events that follow.

    `POST /recommend` answers with tracks and why each is there, `POST /similar` with tracks like one; `POST /events`
    reports what people did with them. A report is durable when it is answered, and the user's next recommendation knows it.
    """

    def __init__(self) -> None:
        structured_log.configure_logging()
        logging.getLogger("bentoml._internal.server.http_app").addFilter(ValidationLogFilter())
        here = settings.load_settings()
        check_host(here.host, ApiKeys(settings.load_api_keys()))
        self._runtime = self._build_runtime(here, _metrics())
        garbage_collector.freeze_gc()

    def _build_runtime(self, here: settings.Settings, metrics: Metrics) -> Runtime:
        return Runtime(here, metrics)

    @bentoml.api(output_spec=Recommendation)
    def recommend(
        self,
        user_id: Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES, description="Who listens")],
        scene: Annotated[str, Field(max_length=64, description=f"Where: {', '.join(SCENES)}")] = "daily",
        limit: Annotated[int | None, Field(ge=1, description="How many tracks; by default the scene's")] = None,
        discovery: Annotated[
            float | None,
            Field(
                ge=0, le=1, description="Share of tracks new to the listener; by default what suits most in the scene"
            ),
        ] = None,
        territory: Territory = None,
        explicit: Explicit = None,
        language: ReasonLanguage = "en",
        debug: Annotated[bool, Field(description="Whether the answer says how it came about, in `trace`")] = False,
    ) -> Recommendation | Response:
        """Tracks for a user, best first; playlists or mlogs in their scenes."""
        try:
            return render_recommendation(
                self._runtime.recommend(user_id, scene, limit, discovery, territory, explicit), language, debug
            )
        except RequestRejected as error:
            return _error(400, error)
        except NoCollections as error:
            return _error(404, error)
        except NotReady as error:
            return _error(503, error)

    @bentoml.api(output_spec=Recommendation)
    def similar(
        self,
        track_id: Annotated[
            str, Field(min_length=1, max_length=MAX_ID_BYTES, description="What the tracks should be like")
        ],
        limit: Annotated[int | None, Field(ge=1, description=f"How many tracks; by default {SIMILAR.limit}")] = None,
        user_id: Annotated[
            str | None,
            Field(
                min_length=1,
                max_length=MAX_ID_BYTES,
                description="Who listens: what they blocked or disliked stays away",
            ),
        ] = None,
        territory: Territory = None,
        explicit: Explicit = None,
        language: ReasonLanguage = "en",
        debug: Annotated[bool, Field(description="Whether the answer says how it came about, in `trace`")] = False,
    ) -> Recommendation | Response:
        """Tracks like a given one, nearest first."""
        try:
            return render_recommendation(
                self._runtime.similar(track_id, limit, user_id, territory, explicit), language, debug
            )
        except RequestRejected as error:
            return _error(400, error)
        except UnknownTrack as error:
            return _error(404, error)
        except NotReady as error:
            return _error(503, error)

    @bentoml.api(output_spec=EventReport)
    def events(
        self,
        events: Annotated[
            list[Any],
            Field(min_length=1, max_length=MAX_EVENTS, json_schema_extra={"items": openapi.event_schema()}),
        ],
    ) -> EventReport | Response:
        """Report events, rows of the data contract's `listening_events`."""
        try:
            return EventReport(**asdict(self._runtime.ingest_events(events)))
        except (LogBusy, OSError) as error:
            return _error(503, error)

    @bentoml.api(output_spec=UserProfileResponse)
    def listener(
        self, user_id: Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES, description="Who listens")]
    ) -> UserProfileResponse | Response:
        """What is known of a listener: the newest events, interests, and what is long- and short-term."""
        try:
            return UserProfileResponse(**asdict(self._runtime.describe_user(user_id)))
        except RequestRejected as error:
            return _error(400, error)
        except NotReady as error:
            return _error(503, error)

    @bentoml.api(output_spec=SearchResults)
    def search(
        self,
        words: Annotated[
            str, Field(max_length=MAX_QUERY_LENGTH, description="Words of title and artists; none: any")
        ] = "",
        limit: Annotated[int, Field(ge=1, le=MAX_LISTED, description="How many tracks")] = 20,
    ) -> SearchResults | Response:
        """Tracks by words, the most played first."""
        try:
            return SearchResults(items=self._runtime.search(words, limit))
        except NotReady as error:
            return _error(503, error)

    @bentoml.api(output_spec=UserIds)
    def listeners(self, limit: Annotated[int, Field(ge=1, le=MAX_LISTED, description="How many ids")] = 20) -> UserIds:
        """Some listeners, to look at what the models make of them."""
        return UserIds(user_ids=self._runtime.list_users(limit))

    async def __is_ready__(self) -> bool:
        """`/readyz`: a warm release is in service."""
        return self._runtime.is_ready

    async def __is_alive__(self) -> bool:
        """`/livez`: events can be logged; with or without a release."""
        return self._runtime.is_alive

    @bentoml.on_shutdown
    def close(self) -> None:
        """Bring everything that was acknowledged to its place before the process ends."""
        self._runtime.close()


def _openapi_document() -> dict[str, Any]:
    return openapi.build_openapi_document(Recommender.openapi_spec.asdict())  # type: ignore[attr-defined]


def _status() -> dict[str, Any]:
    return _current_runtime().status()


def _current_runtime() -> Runtime:
    return bentoml.get_current_service()._runtime  # type: ignore[no-any-return]


@functools.cache
def _metrics() -> Metrics:
    return Metrics()


def _queues() -> list[RequestQueue]:
    answers = RequestQueue(
        ("/recommend", "/similar", "/listener", "/search"),
        settings.load_settings().concurrent_requests,
        MAX_WAITING_REQUESTS,
    )
    return [answers, RequestQueue(("/events",), MAX_CONCURRENT_REPORTS, MAX_WAITING_REPORTS)]


def _count_shed_request(path: str) -> None:
    _metrics().refused.labels(path).inc()


def _access_policy() -> AccessPolicy:
    per_s = settings.load_settings().requests_per_s
    return AccessPolicy(ApiKeys(settings.load_api_keys()), RateLimit(per_s) if per_s else None)


def _count_denied_request(reason: str) -> None:
    _metrics().turned_away.labels(reason).inc()


# The first is the outermost.
Recommender.add_asgi_middleware(AccessControl, load_policy=_access_policy, on_rejected=_count_denied_request)  # type: ignore[attr-defined]
Recommender.add_asgi_middleware(ListeningPage)  # type: ignore[attr-defined]
Recommender.add_asgi_middleware(RequestGuard, description=_openapi_document, status=_status)  # type: ignore[attr-defined]  # it is a Service now
Recommender.add_asgi_middleware(Admission, queues=_queues, on_rejected=_count_shed_request)  # type: ignore[attr-defined]
Recommender.add_asgi_middleware(ValidationErrorFormatter)  # type: ignore[attr-defined]


def _error(status: int, error: Exception) -> Response:
    # BentoML passes a ready response on as it is.
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"error": str(error)}, status_code=status, headers=headers)
