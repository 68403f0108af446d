"""The recommender as three services, for a cluster: recall and ranking in processes of their own, on other machines if need
be. `python -m serving --composed` starts the three on this one.

The answers are those of `service.py`, which asks the same classes without a hop and is what one machine should run. Between
the services goes JSON (`arrays.py`): BentoML would pickle there, so it is not asked to carry anything, and neither inner
service reads anything but JSON of a bounded size, from this machine or with an API key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlparse
from urllib.request import url2pathname

import bentoml
import httpx
from starlette.responses import JSONResponse

import settings
from sequences import heap
from serving import arrays, service, structured_log
from serving.api_keys import ApiKeys
from serving.arrays import Json, NotOurs
from serving.clients import Clients, Door
from serving.guard import Guard
from serving.load_release import Parts, load_release
from serving.loaded_releases import LoadedReleases, NoSuchRelease
from serving.metrics import Metrics
from serving.rank import Ranking
from serving.recall import Recall, WarmUpFailed
from serving.remote import Call, HopFailed, RemoteRanking, RemoteRecall
from serving.request import LONGEST_ID
from serving.runtime import Runtime
from serving.served_release import ServedRelease
from settings import Settings
from training.features import ServiceContract, UserBatch

MOST_BYTES = 8 << 20
MOST_ASKED = 1 << 16
TIMEOUT_S = 30
TRAFFIC: Any = {"timeout": TIMEOUT_S, "max_concurrency": service.MOST_WAITING}
CONNECTIONS = httpx.Limits(max_connections=service.THREADS, max_keepalive_connections=service.THREADS)
FINAL = (400, 404, 409)
NO_FEATURES = ServiceContract((), ())
"""Features come with the question."""


def _releases(parts: Parts) -> LoadedReleases:
    structured_log.start()
    return LoadedReleases(lambda folder: load_release(folder, NO_FEATURES, parts), settings.load().releases)


@bentoml.service(name="Recall", threads=settings.MOST_AT_ONCE, workers=1, traffic=TRAFFIC)
class RecallService:
    """Asks the channels of a release, see `serving.recall.Recall`."""

    def __init__(self) -> None:
        here = settings.load()
        self._releases = _releases(Parts(has_ranker=False))
        self._recall = Recall(Metrics(), here.recall_deadline_ms / 1000, here.answered_at_once)
        heap.settle()

    @bentoml.api
    def of_users(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.of_users`."""
        return _told(
            content,
            lambda: arrays.of_recalled(self._recall.of_users(*self._about(content), _k(content), content["only"])),
        )

    @bentoml.api
    def near(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.near`."""
        return _told(
            content,
            lambda: arrays.of_recalled(self._recall.near(self._release(content), int(content["item"]), _k(content))),
        )

    @bentoml.api
    def reasons(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.reasons`."""
        return _told(content, lambda: {"reasons": self._reasons(content)})

    @bentoml.api
    def tastes(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.tastes`."""
        return _told(
            content,
            lambda: arrays.of_tastes(self._recall.tastes(*self._about(content), arrays.to_arrays(content["items_of"]))),
        )

    @bentoml.api
    def warm(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Recall.warm`."""
        return _told(
            content, lambda: {"candidates": arrays.of_candidates(self._recall.warm(*self._about(content), _k(content)))}
        )

    def _reasons(self, content: Json) -> list[str]:
        release, users = self._about(content)
        return self._recall.reasons(release, content["name"], users, [int(item) for item in content["items"]])

    def _release(self, content: Json) -> ServedRelease:
        return self._releases.get(str(content["release"]))

    def _about(self, content: Json) -> tuple[ServedRelease, UserBatch]:
        return self._release(content), arrays.to_users(content["users"])


@bentoml.service(name="Ranking", threads=settings.MOST_AT_ONCE, workers=1, traffic=TRAFFIC)
class RankingService:
    """Asks the ranker of a release, see `serving.rank.Ranking`."""

    def __init__(self) -> None:
        self._releases = _releases(Parts(has_channels=False))
        self._ranking = Ranking()
        heap.settle()

    @bentoml.api
    def score(self, content: dict[str, Any]) -> dict[str, Any]:
        """See `Ranking.score`."""
        return _told(content, lambda: {"probabilities": arrays.of_arrays(self._score(content))})

    def _score(self, content: Json) -> dict[str, Any]:
        release, users = self._releases.get(str(content["release"])), arrays.to_users(content["users"])
        return dict(self._ranking.score(release, users, arrays.to_array(content["items"])))


@bentoml.service(name="Recommender", threads=service.THREADS, workers=1, traffic=TRAFFIC)
class Recommender(service.Recommender.inner):  # type: ignore[name-defined]  # the class: it is a Service now
    """The recommender of `service.py` over the other two."""

    recall = bentoml.depends(RecallService)
    ranking = bentoml.depends(RankingService)

    def _made(self, here: Settings, metrics: Metrics) -> Runtime:
        recall, ranking = (
            RemoteRecall(_caller(_connected(self.recall)), metrics, here.recall_deadline_ms / 1000),
            RemoteRanking(_caller(_connected(self.ranking))),
        )
        return Runtime(here, metrics, recall, ranking, Parts(has_channels=False, has_ranker=False))


def _door() -> Door:
    return Door(ApiKeys(settings.api_keys()), None)


def _guard(inner: Any) -> None:
    inner.add_asgi_middleware(Clients, door=_door, turned_away=lambda _: None)
    inner.add_asgi_middleware(Guard, description=dict, most_bytes=MOST_BYTES)


_guard(RecallService)
_guard(RankingService)
for kind, options in service.Recommender.middlewares:  # type: ignore[attr-defined]
    Recommender.add_asgi_middleware(kind, **options)


def _connected(proxy: Any) -> httpx.Client:
    """A connection to where BentoML has started the service that `proxy` stands for."""
    url = urlparse(proxy.to_async.url)
    if url.scheme == "file":
        transport = httpx.HTTPTransport(uds=url2pathname(url.path), limits=CONNECTIONS)
        return httpx.Client(base_url="http://127.0.0.1", transport=transport, timeout=TIMEOUT_S)
    address = f"http://{url.netloc}" if url.scheme == "tcp" else url.geturl()
    return httpx.Client(base_url=address, limits=CONNECTIONS, timeout=TIMEOUT_S)


def _caller(client: httpx.Client) -> Call:
    """Calls of one service over our own connection and in our own words: BentoML's would pickle."""
    keys = settings.api_keys()
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}

    def call(name: str, content: Json, timeout_s: float | None) -> Json:
        longest = TIMEOUT_S if timeout_s is None else timeout_s
        asked = {"content": content | {"request_id": structured_log.REQUEST_ID.get()}}
        try:
            answer = client.post(f"/{name}", json=asked, headers=headers, timeout=longest)
            if answer.status_code != 200:
                raise HopFailed(f"{name}: {answer.text[:500]}", answer.status_code in FINAL)
            told: Json = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise HopFailed(f"{name}: {error!r}", is_late=isinstance(error, httpx.TimeoutException)) from error
        return told

    return call


def _k(content: Json) -> int:
    k = int(content["k"])
    if not 0 < k <= MOST_ASKED:
        raise NotOurs(f"k {k} is not between 1 and {MOST_ASKED}")
    return k


def _told(content: Json, work: Callable[[], Json]) -> Json:
    """What `work` gives, or why there is nothing; what it logs has the id of the request that the recommender answers."""
    before = structured_log.REQUEST_ID.set(str(content.get("request_id", ""))[:LONGEST_ID])
    try:
        return work()
    except NoSuchRelease as error:
        return _error(404, error)
    except WarmUpFailed as error:
        return _error(409, error)
    except (NotOurs, KeyError, TypeError) as error:
        return _error(400, error)
    finally:
        structured_log.REQUEST_ID.reset(before)


def _error(status: int, error: Exception) -> Json:
    # BentoML passes a ready response on as it is.
    return cast(Json, JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=status))
