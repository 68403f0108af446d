"""The recommender as three BentoML services for a cluster: recall and ranking run in their own processes or machines.

`python -m serving --composed` starts the three on one machine. Responses equal those of `service.py`, which calls the same
classes in one process and is the right choice for a single machine. The services exchange JSON (`remote/array_json.py`):
BentoML would pickle, so its own serialization is not used, and both inner services accept only JSON within limits, with the
token that the processes share (`SEGUE_INTERNAL_TOKEN`).
"""

from __future__ import annotations

import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlparse
from urllib.request import url2pathname

import bentoml
import httpx
import numpy as np
from starlette.responses import JSONResponse

from config import garbage_collector, http_settings, settings
from config.settings import Settings
from serving import service, supervisor
from serving.http.access_policy import AccessControl, AccessPolicy
from serving.http.api_keys import ApiKeys
from serving.http.catch_all import CatchAll
from serving.http.request_guard import RequestGuard
from serving.observability import structured_log
from serving.observability.metrics import Metrics
from serving.pipeline.request import MAX_ID_BYTES
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import Recall, WarmUpFailed
from serving.releases.served_release import ReleaseParts, ServedRelease, load_release
from serving.remote import array_json
from serving.remote.array_json import InvalidPayload, Json
from serving.remote.client import RemoteCall, RemoteCallError, RemoteRanking, RemoteRecall
from serving.runtime import Runtime
from training.data.feature_services import ServiceContract
from training.data.user_batch import UserBatch
from training.recall.neural_channel import ItemsBetween
from training.release import model_store, traffic_split
from training.release.integrity import DamagedRelease
from training.slate.scene_settings import PATH

MAX_BODY_BYTES = 8 << 20
MAX_CANDIDATES = 1 << 16
CONNECTIONS = httpx.Limits(max_connections=service.THREADS, max_keepalive_connections=service.THREADS)
PERMANENT_ERROR_STATUSES = (400, 404, 409)
NO_FEATURES = ServiceContract((), ())
"""Features are part of each call."""

logger = logging.getLogger(__name__)


class NoSuchRelease(LookupError):
    """The model store does not have the release."""


class ReleaseCache:
    """Releases of an inner service, loaded on first use; thread-safe.

    Keeps the canary releases and two more: production, and its predecessor or successor. The recommender requests a release
    while warming it up, before it serves users. So the inner services do not have to follow the active-release file, and cannot
    disagree with the recommender.

    Args:
        load: Loads a release from its folder.
        folder: Folder of `shares.json`.
    """

    def __init__(self, load: Callable[[Path], ServedRelease], folder: Path) -> None:
        self._load, self._traffic_split_file = load, folder / traffic_split.TRAFFIC_SPLIT_FILE
        self._loaded: OrderedDict[str, ServedRelease] = OrderedDict()
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def get(self, release_id: str) -> ServedRelease:
        """The release, loaded if necessary, without a timeout.

        Raises:
            NoSuchRelease: The store does not have it.
            DamagedRelease: Its files do not match its checksums, or it has no valid signature.
        """
        found = self._lookup(release_id)
        if found is not None:
            return found
        with self._loading:
            found = self._lookup(release_id)
            return self._read(release_id) if found is None else found

    def _lookup(self, release_id: str) -> ServedRelease | None:
        with self._lock:
            found = self._loaded.get(release_id)
            if found is not None:
                self._loaded.move_to_end(release_id)
            return found

    def _read(self, release_id: str) -> ServedRelease:
        path = model_store.version_folder(release_id) if model_store.is_valid_version(release_id) else None
        if path is None:
            raise NoSuchRelease(f"release {release_id[:80]!r} is not in the store")
        release = self._load(path)
        capacity = 2 + self._count_canaries()
        with self._lock:
            self._loaded[release_id] = release
            evicted = [self._loaded.popitem(last=False)[0] for _ in range(len(self._loaded) - capacity)]
        garbage_collector.freeze_gc()
        logger.info("release %s is loaded; evicted: %s", release_id, ", ".join(evicted) or "none")
        return release

    def _count_canaries(self) -> int:
        try:
            return len(traffic_split.read(self._traffic_split_file).canaries)
        except traffic_split.InvalidTrafficSplit:
            # The recommender rejects the file, reports it and keeps the canaries that it has.
            return traffic_split.MAX_CANARY_RELEASES


def _releases(parts: ReleaseParts) -> ReleaseCache:
    structured_log.configure_logging()
    here = settings.load_settings()
    return ReleaseCache(lambda folder: load_release(folder, NO_FEATURES, parts, here.release_public_key), here.releases)


@bentoml.service(name="Recall", threads=settings.MAX_CONCURRENT_REQUESTS, **service.OPTIONS)
class RecallService:
    """Calls the channels of a release, see `serving.pipeline.stages.recall.Recall`."""

    prepare_supervisor = bentoml.on_deployment(supervisor.prepare)

    def __init__(self) -> None:
        here = settings.load_settings()
        self._releases = _releases(ReleaseParts(has_ranker=False, has_search=False))
        self._recall = Recall(Metrics(), here.recall_deadline_ms / 1000, here.concurrent_requests)
        garbage_collector.freeze_gc()

    @bentoml.api
    def recall_for_users(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.recall_for_users`."""
        return _respond(
            content,
            lambda: array_json.encode_recall_result(
                self._recall.recall_for_users(*self._release_and_users(content), _k(content), content["only"])
            ),
        )

    @bentoml.api
    def recall_continuation(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.recall_continuation`."""
        return _respond(
            content,
            lambda: array_json.encode_recall_result(
                self._recall.recall_continuation(
                    self._release(content), _items(content), str(content["title"]), _k(content)
                )
            ),
        )

    @bentoml.api
    def recall_between(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.recall_between`."""
        return _respond(content, lambda: array_json.encode_items_between(self._items_between(content)))

    @bentoml.api
    def reasons(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.reasons`."""
        return _respond(content, lambda: {"reasons": self._reasons(content)})

    @bentoml.api
    def find_user_interests(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.find_user_interests`."""
        return _respond(
            content,
            lambda: array_json.encode_user_interests(
                self._recall.find_user_interests(
                    *self._release_and_users(content), array_json.decode_arrays(content["items_of"])
                )
            ),
        )

    @bentoml.api
    def warm(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.warm`."""
        return _respond(
            content,
            lambda: {
                "candidates": array_json.encode_candidates(
                    self._recall.warm(*self._release_and_users(content), _k(content))
                )
            },
        )

    def _reasons(self, content: Json) -> dict[str, list[Json]]:
        release, users = self._release_and_users(content)
        items_of = {str(name): [int(item) for item in items] for name, items in content["items_of"].items()}
        found = self._recall.reasons(release, users, items_of)
        return {name: [reason.to_json() for reason in reasons] for name, reasons in found.items()}

    def _items_between(self, content: Json) -> ItemsBetween | None:
        first, last, points = (content[name] for name in ("first", "last", "points"))
        if not all(type(one) is int for one in (first, last, points)) or not 0 <= points <= PATH.max_limit:
            raise InvalidPayload(f"first, last and points must be integers, points from 0 to {PATH.max_limit}")
        release = self._release(content)
        return self._recall.recall_between(release, str(content["name"]), first, last, points, _k(content))

    def _release(self, content: Json) -> ServedRelease:
        return self._releases.get(str(content["release"]))

    def _release_and_users(self, content: Json) -> tuple[ServedRelease, UserBatch]:
        return self._release(content), array_json.decode_users(content["users"])


@bentoml.service(name="Ranking", threads=settings.MAX_CONCURRENT_REQUESTS, **service.OPTIONS)
class RankingService:
    """Calls the ranker of a release, see `serving.pipeline.stages.rank.Ranking`."""

    prepare_supervisor = bentoml.on_deployment(supervisor.prepare)

    def __init__(self) -> None:
        self._releases = _releases(ReleaseParts(has_channels=False, has_search=False))
        self._ranking = Ranking()
        garbage_collector.freeze_gc()

    @bentoml.api
    def score(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Ranking.score`."""
        return _respond(content, lambda: {"probabilities": array_json.encode_arrays(self._score(content))})

    def _score(self, content: Json) -> dict[str, Any]:
        release, users = self._releases.get(str(content["release"])), array_json.decode_users(content["users"])
        return dict(self._ranking.score(release, users, array_json.decode_array(content["items"])))


@bentoml.service(name="Recommender", threads=service.THREADS, **service.OPTIONS)
class Recommender(service.Recommender.inner):  # type: ignore[name-defined]  # the class: it is a Service now
    """The recommender of `service.py`, using the other two services."""

    recall = bentoml.depends(RecallService)
    ranking = bentoml.depends(RankingService)

    def _build_runtime(self, here: Settings, metrics: Metrics) -> Runtime:
        recall, ranking = (
            RemoteRecall(_make_call(_connect(self.recall)), metrics, here.recall_deadline_ms / 1000),
            RemoteRanking(_make_call(_connect(self.ranking))),
        )
        return Runtime(here, metrics, recall, ranking, ReleaseParts(has_channels=False, has_ranker=False))


def _access_policy() -> AccessPolicy:
    return AccessPolicy(ApiKeys([http_settings.load_internal_token()]), None)


def _add_middleware(inner: Any) -> None:
    inner.add_asgi_middleware(CatchAll)
    inner.add_asgi_middleware(AccessControl, load_policy=_access_policy, on_rejected=lambda _: None)
    load_limits = functools.partial(service.load_body_limits, MAX_BODY_BYTES)
    inner.add_asgi_middleware(RequestGuard, description=dict, load_limits=load_limits)


_add_middleware(RecallService)


_add_middleware(RankingService)


for kind, options in service.Recommender.middlewares:  # type: ignore[attr-defined]
    Recommender.add_asgi_middleware(kind, **options)


def _connect(proxy: Any) -> httpx.Client:
    """A connection to the service that BentoML has started for `proxy`."""
    url = urlparse(proxy.to_async.url)
    if url.scheme == "file":
        transport = httpx.HTTPTransport(uds=url2pathname(url.path), limits=CONNECTIONS)
        return httpx.Client(base_url="http://127.0.0.1", transport=transport, timeout=service.TIMEOUT_S)
    address = f"http://{url.netloc}" if url.scheme == "tcp" else url.geturl()
    return httpx.Client(base_url=address, limits=CONNECTIONS, timeout=service.TIMEOUT_S)


def _make_call(client: httpx.Client) -> RemoteCall:
    """A function that calls one service as JSON over its own connection; BentoML's proxy would pickle."""
    headers = {"Authorization": f"Bearer {http_settings.load_internal_token()}"}

    def call(name: str, content: Json, timeout_s: float | None) -> Json:
        timeout = service.TIMEOUT_S if timeout_s is None else timeout_s
        body = {"content": content | {"request_id": structured_log.REQUEST_ID.get()}}
        try:
            response = client.post(f"/{name}", json=body, headers=headers, timeout=timeout)
            if response.status_code != 200:
                raise RemoteCallError(
                    f"{name}: {response.text[:500]}", response.status_code in PERMANENT_ERROR_STATUSES
                )
            result: Json = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RemoteCallError(f"{name}: {error!r}", is_timeout=isinstance(error, httpx.TimeoutException)) from error
        return result

    return call


def _k(content: Json) -> int:
    k = int(content["k"])
    if not 0 < k <= MAX_CANDIDATES:
        raise InvalidPayload(f"k {k} is not between 1 and {MAX_CANDIDATES}")
    return k


def _items(content: Json) -> np.ndarray:
    items = array_json.decode_array(content["items"])
    if items.ndim != 1 or items.dtype != np.int64:
        raise InvalidPayload(f"items of type {items.dtype} and shape {items.shape}; send a list of int64")
    return items


def _respond(content: Json, work: Callable[[], Json]) -> Json:
    """The result of `work`, or an error response. Log lines of `work` have the id of the recommender's request."""
    before = structured_log.REQUEST_ID.set(str(content.get("request_id", ""))[:MAX_ID_BYTES])
    try:
        return work()
    except NoSuchRelease as error:
        return _error(404, error)
    except (WarmUpFailed, DamagedRelease) as error:
        return _error(409, error)
    except (InvalidPayload, KeyError, TypeError) as error:
        return _error(400, error)
    finally:
        structured_log.REQUEST_ID.reset(before)


def _error(status: int, error: Exception) -> Json:
    # BentoML returns a Response object unchanged.
    return cast(Json, JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=status))
