"""Release changes under load: requests are sent on a clock while commands activate, canary and roll back releases.

Two synthetic releases in the model store differ by a mark at the end of every title. Each change is a command as an
operator would run it; the next one follows when the service reports the one before as done. Half of the requests are for daily
lists, which users request repeatedly, each time longer: so lists begin under one release and continue under another.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from config import settings
from local.environment import environment
from research.serving import synthetic_release
from tests.support import recommender_service
from tests.support.pipeline_commands import run_to_end
from tests.support.recommender_service import Place
from tests.support.waiting import wait_until

RELEASE_A, RELEASE_B = "swap_one", "swap_two"
CHANGES = (("activate", RELEASE_B), ("rollback",), ("canary", RELEASE_B, "--share", "0.5"))
RELEASE_MARK = re.compile(r"\[(\w+)\]")
REQUESTS_PER_SECOND, CLIENTS, SECONDS = 10.0, 32, 6.0
RETURNING_USERS = 120
"""Users with repeated requests."""
PUBLISH_SCRIPT = """
import sys
from pathlib import Path
from releases import model_store
for folder in map(Path, sys.argv[1:]):
    model_store.publish(folder, folder.name, {})
"""


@dataclass
class LoadObservations:
    """Observations of the clients."""

    requests: int = 0
    failed_requests: list[str] = field(default_factory=list)
    mismatched_responses: list[str] = field(default_factory=list)
    releases: set[str] = field(default_factory=set)
    mixed_responses: list[str] = field(default_factory=list)


def prepare_service(
    home: Path, tracks: int, recipe: str, users: int, extend_release: Callable[[Path], None] = lambda folder: None
) -> AbstractContextManager[Place]:
    """Return a prepared home for such a service; `extend_release` adds to each synthetic release."""

    def prepare(home: Path) -> date:
        for name in (RELEASE_A, RELEASE_B):
            synthetic_release.make_release(home / name, tracks, recipe, name, f" [{name}]")
            extend_release(home / name)
        variables = environment(settings.load_settings())
        run_to_end([sys.executable, "-c", PUBLISH_SCRIPT, str(home / RELEASE_A), str(home / RELEASE_B)], variables)
        run_to_end([sys.executable, "-m", "releases", "activate", RELEASE_A], variables)
        return synthetic_release.write_users(home / "marts", users, tracks)

    return recommender_service.prepared(home, "sqlite", 1, prepare, SEGUE_RECALL_DEADLINE_MS="30000")


def prepare_one_release(home: Path, users: int) -> AbstractContextManager[Place]:
    """Return a prepared home with one synthetic release of 400 tracks, which is in no model store."""

    def prepare(home: Path) -> date:
        synthetic_release.write_release(home, 400, "debug")
        return synthetic_release.write_users(home / "marts", users, 400)

    return recommender_service.prepared(home, "sqlite", 1, prepare, SEGUE_RECALL_DEADLINE_MS="30000")


def measure_changes(place: Place) -> LoadObservations:
    """Send requests at the rate while all changes are made."""
    seen, stop, lock = LoadObservations(), threading.Event(), threading.Lock()
    numbers, began, local = itertools.count(), time.monotonic(), threading.local()

    def client() -> None:
        while not stop.is_set():
            with lock:
                number = next(numbers)
            time.sleep(max(0.0, began + number / REQUESTS_PER_SECOND - time.monotonic()))
            exchange = _send_request(local, place.port, number)
            with lock:
                _record_response(seen, exchange)

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client) for _ in range(CLIENTS)]
        try:
            for change in CHANGES:
                run_to_end([sys.executable, "-m", "releases", *change], place.variables)
                wait_until(lambda change=change: _is_applied(place, change), f"{change} in /status", 120.0)
                time.sleep(1.5)  # requests under this release, until the one before is unloaded
            time.sleep(max(0.0, began + SECONDS - time.monotonic()))
        finally:
            stop.set()
        for running in clients:
            running.result()
    return seen


def _send_request(local: threading.local, port: int, number: int) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Return status, request and response of one request."""
    user, turn = number % RETURNING_USERS, number // RETURNING_USERS
    request: dict[str, Any] = {"user_id": f"u{user:06d}", "scene": "private_fm", "limit": 3}
    if number % 2:
        request |= {"scene": "daily", "limit": min(3 + 3 * turn, 30)}
    try:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        local.connection.request("POST", "/recommend", json.dumps(request), {"Content-Type": "application/json"})
        response = local.connection.getresponse()
        return response.status, request, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        del local.connection
        return 0, request, {"error": str(error)}


def _record_response(seen: LoadObservations, exchange: tuple[int, dict[str, Any], dict[str, Any]]) -> None:
    status, request, response = exchange
    seen.requests += 1
    if status != 200 or len(response["items"]) < request["limit"]:
        seen.failed_requests.append(f"{status} {request} {response}")
        return
    seen.releases.add(response["release"])
    is_mixed = len({item.get("release", response["release"]) for item in response["items"]}) > 1
    # A daily list that began under another release ends with tracks of the named one.
    if is_mixed and (request["scene"] != "daily" or "release" in response["items"][-1]):
        seen.mixed_responses.append(json.dumps(response))
    if has_mismatched_release(response, is_daily=request["scene"] == "daily"):
        seen.mismatched_responses.append(json.dumps(response))


def has_mismatched_release(response: dict[str, Any], is_daily: bool) -> bool:
    """Return whether titles and reasons are of different releases, or of another one than the response names.

    A daily list that an earlier release completed names that one, and is shown with titles and reasons of the present release.
    """
    present, items = response["release"], response["items"]
    computed_by = set(RELEASE_MARK.findall(" ".join(f"{item['title']} {item['reason']}" for item in items)))
    may_be_earlier = is_daily and not any("release" in item for item in items)
    return len(computed_by) > 1 or not (may_be_earlier or computed_by <= {present})


def _is_applied(place: Place, change: tuple[str, ...]) -> bool:
    _, status = recommender_service.ask(place.port, "/status")
    if change[0] == "canary":
        return [(row["release"], row["share"]) for row in status["canaries"] if row["is_in_service"]] == [
            (change[1], float(change[3]))
        ]
    return bool(status["release"] == (RELEASE_A if change[0] == "rollback" else change[1]) and not status["canaries"])
