"""An evening of 50 listeners: each opens the page, then 20 times plays, skips or likes a song and asks for the next ones.

With one worker and with one per core: p50 and p95 of a page load (all requests that the page makes, one after the other) and of
an event with its next request, and processor time of all processes of the service for each.
"""

from __future__ import annotations

import http.client
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from research.result import Result
from research.serving.recommend_endpoint import SMALL, WARM_UP_REQUESTS, processor_s, run_load, serve_release
from tests.support.recommender_service import Service

TURNS, LISTENERS_AT_ONCE = 20, 4
REACTIONS: tuple[dict[str, Any], ...] = (
    {"action": "play", "played_ms": 200_000},
    {"action": "play", "played_ms": 3_000},
    {"action": "like"},
)
"""A full play, a skip and a like, in turns."""


class Listener:
    """A listener with a connection of their own; `seconds` of page loads and of turns."""

    def __init__(self, port: int, user_id: str) -> None:
        self._connection, self._user_id = http.client.HTTPConnection("127.0.0.1", port, timeout=60), user_id

    def open_page(self) -> float:
        """Seconds of the requests of the page's start."""
        began = time.perf_counter()
        first = self._post("/recommend", {"scene": "daily", "limit": 30})["items"][0]["track_id"]
        self._post("/recommend", {"scene": "private_fm", "discovery": 1, "limit": 12})
        self._post("/listener", {})
        self._post("/similar", {"track_id": first, "limit": 12})
        self._songs = self._post("/recommend", {"scene": "private_fm", "limit": 3})["items"]
        return time.perf_counter() - began

    def react(self, turn: int) -> float:
        """Seconds until an event is acknowledged and the next songs have arrived."""
        song = self._songs[0]["track_id"]
        event = REACTIONS[turn % len(REACTIONS)] | {"user_id": self._user_id, "target_type": "track", "target_id": song}
        began = time.perf_counter()
        self._post("/events", {"events": [event]})
        self._songs = self._post("/recommend", {"scene": "private_fm", "limit": 3})["items"]
        return time.perf_counter() - began

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        about = body if path == "/events" else body | {"user_id": self._user_id}
        self._connection.request("POST", path, json.dumps(about), {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        content: dict[str, Any] = json.loads(response.read())
        self._connection.close()  # the service closes a connection that is idle for seconds
        if response.status != 200:
            raise RuntimeError(f"{path} of {self._user_id} got {response.status}: {content}")
        return content


def run(listeners: int) -> list[Result]:
    """Return the results of both numbers of workers."""
    results = []
    for name, workers in (("evening", 1), ("evening_all_cores", os.cpu_count() or 1)):
        with serve_release(SMALL, "small", workers=workers) as (service, _):
            run_load(service, 0, WARM_UP_REQUESTS)
            results += _measure(service, name, [f"u{WARM_UP_REQUESTS + number:06d}" for number in range(listeners)])
    return results


def _measure(service: Service, name: str, users: list[str]) -> list[Result]:
    clients = [Listener(service.port, user) for user in users]
    results = []
    with ThreadPoolExecutor(LISTENERS_AT_ONCE) as pool:
        for part, work in (("page", _open), ("event", _react)):
            before_s = processor_s(service)
            seconds = [one for times in pool.map(work, clients) for one in times]
            cpu_ms = (processor_s(service) - before_s) / len(seconds) * 1000
            values = {"p50": np.quantile(seconds, 0.5) * 1000, "p95": np.quantile(seconds, 0.95) * 1000, "cpu": cpu_ms}
            results += [Result.from_values(f"{name}_{part}_{key}", "ms", float(one)) for key, one in values.items()]
    return results


def _open(client: Listener) -> list[float]:
    return [client.open_page()]


def _react(client: Listener) -> list[float]:
    return [client.react(turn) for turn in range(TURNS)]
