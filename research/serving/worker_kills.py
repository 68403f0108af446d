"""`python -m research.serving.worker_kills [--kills N] [--workers N]`: random workers are killed (SIGKILL) under load.

A recommender over two synthetic releases with SQLite. Each client, in turns, asks for songs and blocks the first one; it repeats the
event with the same id until it is acknowledged. Meanwhile the release in service changes. Prints counts and ends with 1 unless

    lost, doubled   every acknowledged event is in the store, and none twice
    unread          no later response to the user has the blocked song
    mixed           every response comes from one release
    wrong           no response is an error of the service: requests of a killed worker break off, or get 503
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil

from config import settings
from event_store.sqlite_stores import SqliteEventStore
from tests.support import recommender_service, release_swap
from tests.support.recommender_service import Place

TRACKS, RECIPE, CLIENTS, USERS_OF_CLIENT = 2_000, "debug", 4, 20
KILLS_PER_RELEASE, PAUSE_S = 20, 0.5


class Client:
    """Sends requests and events of a few users until it is stopped."""

    def __init__(self, port: int, number: int) -> None:
        self._port, self._users = port, [f"u{number * USERS_OF_CLIENT + user:06d}" for user in range(USERS_OF_CLIENT)]
        self.acknowledged: list[str] = []
        self.counts: Counter[str] = Counter()
        self._blocked: dict[str, set[str]] = {user: set() for user in self._users}

    def run(self, stop: threading.Event) -> None:
        """Send requests and events in turns."""
        for turn in range(sys.maxsize):
            user = self._users[turn % len(self._users)]
            scene = "daily" if turn % 3 else "private_fm"
            response = self._post("/recommend", {"user_id": user, "scene": scene, "limit": 5})
            if response is not None:
                self._check(response, user, is_daily=scene == "daily")
                self._block(user, response["items"][0]["track_id"])
            if stop.is_set():
                return

    def _check(self, response: dict[str, Any], user: str, is_daily: bool) -> None:
        self.counts["responses"] += 1
        self.counts[f"responses of {response['release']}"] += 1
        self.counts["mixed"] += release_swap.has_mismatched_release(response, is_daily)
        self.counts["unread"] += not self._blocked[user].isdisjoint(item["track_id"] for item in response["items"])

    def _block(self, user: str, track: str) -> None:
        event = {"event_id": str(uuid.uuid4()), "user_id": user, "action": "block", "target_type": "track"}
        while (report := self._post("/events", {"events": [event | {"target_id": track}]})) is None:
            self.counts["repeated"] += 1
        self.counts["wrong"] += report["accepted"] + report["duplicate"] != 1
        self.counts["repeated after a commit"] += report["duplicate"]
        self.acknowledged.append(event["event_id"])
        self._blocked[user].add(track)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The response; None after a while if there is none, because the worker was killed or none runs."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            content: dict[str, Any] = json.loads(response.read())
            if response.status == HTTPStatus.OK:
                return content
            if response.status != HTTPStatus.SERVICE_UNAVAILABLE:
                print(f"{path} got {response.status}: {content}", flush=True)
                self.counts["wrong"] += 1
        self.counts["broken off"] += 1
        time.sleep(0.1)
        return None


def kill_workers(place: Place, kills: int) -> None:
    """Kill a random one of the live workers again and again, when another one is left; change the release sometimes."""
    chance, releases = random.Random(0), (release_swap.RELEASE_B, release_swap.RELEASE_A)
    change: subprocess.Popen[bytes] | None = None
    for number in range(kills):
        while len(live := _live_workers(place.port)) < 2:
            time.sleep(0.1)
        chance.choice(live).kill()
        if number % KILLS_PER_RELEASE == 0:
            command = [sys.executable, "-m", "releases", "activate", releases[number // KILLS_PER_RELEASE % 2]]
            change = subprocess.Popen(command, cwd=settings.ROOT, env=place.variables, stdout=subprocess.DEVNULL)
            print(f"{number} kills", flush=True)
        time.sleep(chance.uniform(0, 2 * PAUSE_S))
    if change is not None:
        change.wait()


def _live_workers(port: int) -> list[psutil.Process]:
    """The workers with a release that have reported a moment ago and still run."""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError, psutil.NoSuchProcess):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/status")
        workers = json.loads(connection.getresponse().read())["workers"]
        pids = [int(one["name"].rpartition("-")[2]) for one in workers if one["release"]]
        running = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        return [one for one in running if one.status() != psutil.STATUS_ZOMBIE]
    return []


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(prog="python -m research.serving.worker_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--workers", type=int, default=3)
    options = parser.parse_args()
    users = CLIENTS * USERS_OF_CLIENT
    with (
        tempfile.TemporaryDirectory() as home,
        release_swap.prepare_service(Path(home), TRACKS, RECIPE, users) as prepared,
    ):
        place = replace(prepared, variables=prepared.variables | {"SEGUE_WORKERS": str(options.workers)})
        clients, stop = [Client(place.port, number) for number in range(CLIENTS)], threading.Event()
        with recommender_service.started(place, "/readyz"), ThreadPoolExecutor(CLIENTS) as pool:
            running = [pool.submit(client.run, stop) for client in clients]
            try:
                kill_workers(place, options.kills)
            finally:
                stop.set()
            for one in running:
                one.result()
        store = SqliteEventStore(Path(home) / "serving", lambda: time.time_ns() // 1000)
        stored = Counter(event["event_id"] for _, event in store.read(None, sys.maxsize))
        store.close()
    counts = sum((client.counts for client in clients), Counter[str]())
    acknowledged = [event_id for client in clients for event_id in client.acknowledged]
    counts |= {"kills": options.kills, "acknowledged": len(acknowledged), "stored": stored.total()}
    failures = {
        "lost": len(set(acknowledged) - set(stored)),
        "doubled": stored.total() - len(stored),
        **{name: counts[name] for name in ("unread", "mixed", "wrong")},
    }
    print(json.dumps(dict(counts) | failures, indent=1))
    raise SystemExit(int(any(failures.values())))


if __name__ == "__main__":
    main()
