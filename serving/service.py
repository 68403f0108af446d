"""BentoML service of the recommender: thin methods over `serving.runtime`.

Only this file imports bentoml. Docstrings of API methods are their OpenAPI texts.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from config import garbage_collector, settings
from config.bind_address import check_bind_address
from recommender.slate.scene_settings import CONTINUATION, PATH, SIMILAR
from serving import supervisor
from serving.errors import NoCollections, NoItemVectors, NotReady, RequestError, RequestRejected, UnknownTrack
from serving.events.erasure_requests import ErasureBusy
from serving.http import openapi
from serving.http.access_policy import OTHER_USER, AccessControl, AccessPolicy, ApiKeys, load_rate_limit
from serving.http.admission import (
    MAX_CONCURRENT_REPORTS,
    MAX_WAITING_REPORTS,
    MAX_WAITING_REQUESTS,
    Admission,
    RequestQueue,
)
from serving.http.api_page import api_page_routes
from serving.http.asgi import RETRY_AFTER, problem_response
from serving.http.catalog_entries import entry_routes
from serving.http.media_files import media_routes
from serving.http.problems import CatchAll, ProblemDetails, ValidationLogFilter
from serving.http.protocols.gateway import Protocols
from serving.http.request_body import BodyReader
from serving.http.request_guard import RequestGuard
from serving.http.static_page import page_routes
from serving.http.user_tokens import (
    AUTHENTICATED_USER,
    HAS_CREDENTIALS,
    OTHER_USER_MESSAGE,
    UserTokens,
    names_other_user,
)
from serving.messages import Language
from serving.observability import structured_log
from serving.observability.metrics import Metrics
from serving.pipeline.request import DEFAULT_SCENE, read_path, read_request, read_similar
from serving.request_schemas import (
    EraseRequest,
    EventsRequest,
    ExplainRequest,
    ExportRequest,
    LibraryRequest,
    ListenerRequest,
    ListenersRequest,
    PathRequest,
    RecommendRequest,
    SearchRequest,
    SimilarRequest,
    TasteRequest,
)
from serving.response_rendering import render_recommendation, render_search
from serving.response_schemas import (
    EraseResponse,
    EventReport,
    ExplanationResponse,
    ExportResponse,
    LibraryResponse,
    Recommendation,
    SearchResults,
    TasteResponse,
    UserIds,
    UserProfileResponse,
)
from serving.supervisor import configure_uvicorn
from storage.suppression_list import SuppressionListError

if TYPE_CHECKING:
    from serving.releases.track_lookup import TrackLookup
    from serving.runtime import Runtime

T = TypeVar("T")

HERE = settings.load_settings()
THREADS = HERE.concurrent_requests + HERE.share(MAX_CONCURRENT_REPORTS) + 1  # of the user data queue
TIMEOUT_S = 30
ERASE_MESSAGE = "an API key must not erase users; send a token of the user, or run `python -m privacy.erase USER`"


class LimitedService(bentoml.Service[Any]):
    """A BentoML service with limited headers, problem documents as errors, without redirects, and without BentoML's metrics."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """The ASGI application; BentoML's workers call it before they configure uvicorn."""
        supervisor.follow()
        configure_uvicorn(settings.HttpSettings().trusted_proxies)
        app: Any = super().to_asgi(is_main)
        # A redirect to the path without its last slash would lead to the host that the request names.
        app.router.redirect_slashes = False
        app.router.routes[:0] = _routes()
        # BentoML's metrics have a label for every path that a client requests.
        unwanted: list[Any] = [RunnerTrafficMetricsMiddleware]
        if BentoMLContainer.tracing.exporter_type.get() is None:  # it would make spans all the same
            unwanted.append(OpenTelemetryMiddleware)
        app.user_middleware = [one for one in app.user_middleware if one.cls not in unwanted]
        return ProblemDetails(app, openapi.METHODS, openapi.REQUEST_FIELDS)


# Without `max_concurrency`: BentoML would count requests before they are authenticated and before their body has arrived.
@bentoml.service(workers=HERE.workers, threads=THREADS, traffic={"timeout": TIMEOUT_S}, service_class=LimitedService)
class Recommender:
    """Recommends tracks and logs the events that follow.

    `POST /recommend` returns tracks with reasons, `POST /similar` tracks similar to one, `POST /path` tracks from one to
    another; `POST /events` reports the reactions of users. A report is durable when the response arrives, and visible to
    the user's next request.
    """

    prepare_supervisor = bentoml.on_deployment(supervisor.prepare)

    def __init__(self) -> None:
        structured_log.configure_logging()
        logging.getLogger("bentoml._internal.server.http_app").addFilter(ValidationLogFilter())
        here = settings.load_settings()
        check_bind_address(here, "recommender")
        # BentoML's supervisor imports this file, too, but needs neither the models nor their libraries.
        from serving.runtime import Runtime

        self._runtime = Runtime(here, _metrics())
        # BentoML would inspect the signature of a method in every request.
        vars(self).update({name: getattr(self, name) for name in Recommender.apis})  # type: ignore[attr-defined]
        garbage_collector.freeze_gc()

    @bentoml.api(input_spec=RecommendRequest, output_spec=Recommendation)
    def recommend(
        self,
        user_id: str | None = None,
        scene: str = DEFAULT_SCENE,
        limit: int | None = None,
        discovery: float | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
        language: Language = "en",
        debug: bool = False,
        seeds: Sequence[str] = (),
        title: str = "",
        exclude: Sequence[str] = (),
        negative_seeds: Sequence[str] = (),
    ) -> Recommendation | Response:
        """Tracks, playlists or short videos for a user, best first.

        Every item names the recall channels that found it and the reason. One response comes from one release. A channel
        that fails or exceeds the deadline is left out; if none is left, popular tracks are returned.

        `discovery` is the fraction of tracks that the user has not played, from 0 to 1, rounded down. New tracks are spread evenly:
        with 0.25 every fourth track is new. Random tracks with few plays may take some of the last places (about one in 30; none
        with 0). If there are not enough known or new tracks, others fill the list and `unmet` says so.

        The list of `daily` stays the same within the UTC day, grows if more tracks are requested, and has no track of the
        lists of the last 7 days; if `discovery` is below one half, only the ones that the user has never played are
        excluded. A blocked or disliked track leaves the list immediately. At most 4 tracks that the user has played and 3 new
        ones are by one artist, unless there are not enough artists, which `unmet` says. Until a user has played 3 tracks,
        tracks that they have only liked are not returned. `debug` adds a `trace` of the computation.

        The scene `playlists` returns playlists, `mlog` short videos (mlogs), each with its id, a reason and some of its
        playable tracks; a click on one, reported as an event with `target_type` playlist or mlog, influences the next
        response. These scenes have no `discovery`. 404: the release has no items of the scene's type.

        With `seeds` or `title` the response continues a playlist: tracks that fit the seeds and the words of the title, without
        the seeds themselves. With `negative_seeds`, which need `seeds`, tracks that are close to these sink, and they are not
        returned in any version. The response depends on the user only by their blocked and disliked tracks and artists; `scene` and
        `discovery` do not apply. 404: the release does not have some of the seeds. `exclude` works with every scene of tracks;
        the list of `daily` is not changed by it.
        """
        playlist: dict[str, Any] = {"seeds": seeds, "title": title, "negative_seeds": negative_seeds}
        read = partial(read_request, user_id, scene, limit, discovery=discovery, exclude=exclude, **playlist)
        name = CONTINUATION.name if seeds or title.strip() else scene
        return _answer(
            user_id,
            lambda: render_recommendation(self._runtime.respond(name, read, territory, explicit), language, debug),
        )

    @bentoml.api(input_spec=SimilarRequest, output_spec=Recommendation)
    def similar(
        self,
        track_id: str,
        limit: int | None = None,
        user_id: str | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
        language: Language = "en",
        debug: bool = False,
        negative_seeds: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> Recommendation | Response:
        """Tracks similar to a given one, most similar first.

        The sources are item vectors, the music graph, content and shared playlists; every item names its sources. Filters,
        `negative_seeds` and `exclude` are as in `/recommend`, and every version of the given recording is excluded. If few tracks
        are similar, the response is short.
        """
        read = partial(read_similar, track_id, limit, user_id, exclude=exclude, negative_seeds=negative_seeds)
        return _answer(
            user_id,
            lambda: render_recommendation(
                self._runtime.respond(SIMILAR.name, read, territory, explicit), language, debug
            ),
        )

    @bentoml.api(input_spec=PathRequest, output_spec=Recommendation)
    def path(
        self,
        from_track: str,
        to_track: str,
        length: int | None = None,
        user_id: str | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
        language: Language = "en",
        debug: bool = False,
    ) -> Recommendation | Response:
        """A smooth sequence of tracks from one track to another.

        The first and the last track are the given ones, no track or recording occurs twice, and neighbors are as similar as
        possible: the path minimizes the sum of the fourth powers of the angles between the vectors of neighbors, with a penalty
        for tracks of one artist close to each other. The score of a track is the cosine between its vector and the vector of the
        track before. Filters are as in `/recommend`. If few tracks may be played,
        the path is shorter.
        """
        read = partial(read_path, from_track, to_track, length, user_id)
        return _answer(
            user_id,
            lambda: render_recommendation(self._runtime.respond(PATH.name, read, territory, explicit), language, debug),
        )

    @bentoml.api(input_spec=EventsRequest, output_spec=EventReport)
    def events(self, events: list[Any]) -> EventReport | Response:
        """Report events of users.

        Each row is a `listening_events` row of the data contract. Accepted rows are durable when the response arrives and
        visible to the user's next request. A row with a known `event_id` is a duplicate and has no effect; a row that violates
        the contract is rejected with the reason, and the other rows are accepted. Missing times default to now. 422: every row
        is rejected; the problem has the fields of the report.
        """
        if denied := _deny_other_users(row.get("user_id") if isinstance(row, dict) else None for row in events):
            return denied
        try:
            report = self._runtime.ingest_events(events)
        except OSError as error:
            return _error(503, error)
        if report.accepted or report.duplicate or report.private:
            return report
        first = report.rejected[0]
        why = f"all {len(events)} events were rejected; the first one (index {first.index}): {first.reason}"
        return _problem(422, why, **report.model_dump())

    @bentoml.api(input_spec=ListenerRequest, output_spec=UserProfileResponse)
    def listener(self, user_id: str) -> UserProfileResponse | Response:
        """Events and interests of a user.

        The newest events with their sessions; the interests that `multi_interest` finds in the listened tracks, each named by
        its distinctive facets; and summaries of the latest session and of the last 2,000 plays.
        """
        return _answer(user_id, lambda: self._runtime.inspector.describe_user(user_id))

    @bentoml.api(input_spec=LibraryRequest, output_spec=LibraryResponse)
    def library(self, user_id: str) -> LibraryResponse | Response:
        """Likes, saved songs, dislikes and blocks of a user.

        Actions that were taken back are not listed.
        """
        return _answer(user_id, lambda: self._runtime.inspector.describe_library(user_id))

    @bentoml.api(input_spec=TasteRequest, output_spec=TasteResponse)
    def taste(self, user_id: str) -> TasteResponse | Response:
        """Taste profile of a user: interests and exclusions.

        Events change it, and the next response reflects them: `exclude` on an album,
        a playlist or an interest (to pause it) and `unexclude`; `reset` on an interest (plays so far count no more) and
        `unreset`; `rename` on an interest, whose `target_id` is the id, `=` and the new name. From `start_private` to
        `end_private` on a session (at most 12 hours) plays, clicks and impressions are not recorded; explicit feedback is.
        """
        return _answer(user_id, lambda: self._runtime.inspector.describe_taste(user_id))

    @bentoml.api(input_spec=ExportRequest, output_spec=ExportResponse)
    def export(self, user_id: str) -> ExportResponse | Response:
        """All stored data of a user.

        It covers stores, landed tables, marts, the online store and all other data that an erasure covers. Plays of private
        sessions are not stored.
        """
        return _answer(user_id, lambda: self._runtime.inspector.export_data(user_id))

    @bentoml.api(input_spec=EraseRequest, output_spec=EraseResponse)
    def erase(self, user_id: str, confirm: str) -> EraseResponse | Response:
        """Erase all data of a user, for good.

        From now on the user's events are rejected and the user gets the responses of an unknown one; stored data is erased within
        minutes. A later request returns `is_erasing: false`. It needs a user token, or a service without keys. With an API key it
        returns 403, because a key must not erase other users: an operator runs `python -m privacy.erase`.
        """
        if denied := _deny_other_users([user_id]):
            return denied
        if AUTHENTICATED_USER.get() is None and HAS_CREDENTIALS.get():
            return _error(403, PermissionError(ERASE_MESSAGE))
        if confirm != user_id:
            return _problem(400, "confirm differs from user_id; send the same id twice to erase the data of the user")
        try:
            return EraseResponse(user_id=user_id, is_erasing=self._runtime.erase_data(user_id))
        except RequestRejected as error:
            return _error(400, error)
        except (ErasureBusy, SuppressionListError, OSError) as error:
            return _error(503, error)

    @bentoml.api(input_spec=ExplainRequest, output_spec=ExplanationResponse)
    def explain(
        self, user_id: str, track_id: str, scene: str = DEFAULT_SCENE, language: Language = "en"
    ) -> ExplanationResponse | Response:
        """Why a track suits a user.

        The channels that find the track now with ranks and reasons, the probabilities of the ranker, and the path through the music
        graph. Nothing is recorded as shown.
        """
        return _answer(user_id, lambda: self._runtime.inspector.explain(user_id, track_id, scene, language))

    @bentoml.api(input_spec=SearchRequest, output_spec=SearchResults)
    def search(
        self,
        query: str = "",
        limit: int = 20,
        user_id: str | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
        language: Language = "en",
    ) -> SearchResults | Response:
        """Search tracks by name or description, best first, and artists, albums and playlists by name.

        "something calm for the night", "放点安静的歌", "sad cantopop from 2015", or a title, artist or album with typing errors.
        Every track has the reason of its match. A release period is a filter, unless no track matches it. The response lists the
        understood and the unmet parts of the query; a query without meaning finds nothing. Filters are as in `/recommend`. An empty
        query returns the most played tracks.
        """
        return _answer(
            user_id,
            lambda: render_search(self._runtime.search(query, limit, user_id, territory, explicit), language),
        )

    @bentoml.api(input_spec=ListenersRequest, output_spec=UserIds)
    def listeners(self, limit: int = 20) -> UserIds:
        """Ids of some users, in order, whose features were materialized."""
        return UserIds(user_ids=self._runtime.inspector.list_users(limit))

    async def __is_ready__(self) -> bool:
        """Answer of `/readyz`: whether a warm release is in service in every worker."""
        return self._runtime.is_ready

    @bentoml.on_shutdown
    def close(self) -> None:
        """Graceful shutdown: finish running requests and close the stores."""
        self._runtime.close()


def _current_runtime() -> Runtime:
    return bentoml.get_current_service()._runtime


def _tracks() -> TrackLookup:
    return _current_runtime().tracks


@functools.cache
def _metrics() -> Metrics:
    return Metrics()


def _queues() -> list[RequestQueue]:
    recommendations = RequestQueue(
        (
            "/recommend",
            "/similar",
            "/path",
            "/listener",
            "/listeners",
            "/library",
            "/taste",
            "/explain",
            "/search",
        ),
        HERE.concurrent_requests,
        HERE.share(MAX_WAITING_REQUESTS),
    )
    reports = RequestQueue(("/events",), HERE.share(MAX_CONCURRENT_REPORTS), HERE.share(MAX_WAITING_REPORTS))
    # An export reads all logs, so it must not take the slots of recommendations.
    user_data = RequestQueue(("/export", "/erase"), max_concurrent=1, max_waiting=4)
    return [recommendations, reports, user_data]


def _access_policy() -> AccessPolicy:
    tokens = settings.load_jwt_settings()
    return AccessPolicy(
        ApiKeys(settings.load_api_keys()),
        load_rate_limit(),
        settings.HttpSettings().allowed_origins,
        UserTokens(tokens) if tokens else None,
    )


def _count_shed_request(path: str) -> None:
    _metrics().rejected.labels("queue_full", path).inc()


def _count_denied_request(reason: str) -> None:
    _metrics().rejected.labels(reason, "").inc()


def _routes() -> list[BaseRoute]:
    """What the service answers besides its API methods, by GET."""
    apis = Recommender.apis  # type: ignore[attr-defined]
    return [
        *page_routes(),
        *api_page_routes(lambda: openapi.build_openapi_document(apis), lambda: _current_runtime().status()),
        *media_routes(_tracks, _count_shed_request),
        *entry_routes(lambda kind, name: _current_runtime().describe_entry(kind, name), _count_shed_request),
    ]


def _protect(app: Any) -> Any:
    """The application inside the middlewares of the service; called when a worker starts, not at import."""
    http = settings.HttpSettings()
    bodies = BodyReader(http.max_body_bytes, http.body_timeout_s)
    app = Admission(app, _queues(), HERE.share(http.client_requests), _count_shed_request)
    app = Protocols(RequestGuard(app, bodies), bodies, _tracks, _count_shed_request)
    app = AccessControl(app, _access_policy(), _count_denied_request)
    return CORSMiddleware(
        CatchAll(app),
        allow_origins=http.allowed_origins,
        allow_methods=("GET", "POST"),
        allow_headers=("Authorization", "Content-Type"),
        expose_headers=("Retry-After",),
        # Chromium sends a preflight request before a public site calls this machine or the local network.
        allow_private_network=True,
    )


Recommender.add_asgi_middleware(_protect)  # type: ignore[attr-defined]


def _answer(user_id: str | None, compute: Callable[[], T]) -> T | Response:
    """What `compute` returns; the problem document of a request that is denied, invalid, or cannot be answered now."""
    if user_id is not None and (denied := _deny_other_users([user_id])):
        return denied
    try:
        return compute()
    except RequestRejected as error:
        return _error(400, error)
    except (NoCollections, NoItemVectors, UnknownTrack) as error:
        return _error(404, error)
    except NotReady as error:
        return _error(503, error)


def _deny_other_users(user_ids: Iterable[object]) -> Response | None:
    """The response to a request with a user token that names another user; None if the request is allowed."""
    if not names_other_user(user_ids):
        return None
    _count_denied_request(OTHER_USER)
    return _error(403, PermissionError(OTHER_USER_MESSAGE))


def _error(status: int, error: Exception) -> Response:
    if not isinstance(error, RequestError):
        return _problem(status, str(error))
    members: dict[str, Any] = {"request_id": error.request_id} if error.request_id else {}
    if error.field:
        members["errors"] = [{"pointer": f"/{error.field}", "detail": str(error)}]
    return _problem(status, str(error), code=error.code, **members)


def _problem(status: int, detail: str, **members: Any) -> Response:
    # BentoML returns a Response object unchanged.
    return problem_response(status, detail, RETRY_AFTER if status == 503 else None, **members)
