"""`POST /recommend` of the real service, Redis online, over a made release of real size (`served_world`).

Lists of the day, each of another of 20,000 listeners, all six channels, 300 candidates ranked by `session_domains`; the
client is a process of its own on the same machine. `run(requests)` over 50,000 tracks, recipe `small`:

    recommend_p50             one client, ms; must stay under 40
    recommend_20rps_p99       requests that leave on a clock, ms; must stay under 120
    recommend_saturation      requests a second that eight clients get answered; must be 35 or more
    recommend_client_cpu      what of a core the client itself took meanwhile
    recommend_outside         share of one client's requests outside recall and ranking; must stay under 0.35
    recommend_ready           seconds from the start of the process until it is ready; must stay under 25

`run_1m(requests)`, over a million tracks, recipe `full`: `recommend_1m_p50`, at most 1.5 times what 50,000 take in the
same run.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import settings
from tests import running_service, valkey
from tests.benchmarks import served_world
from tests.benchmarks.benchmark import Result, limited
from tests.running_service import Service

USERS = 20_000
SMALL, LARGE = 50_000, 1_000_000
WARM_UP = 40
RATE, CLIENTS = 20.0, 8
# The share of requests whose features are written down in the cluster profile.
LOGGED = "0.01"


def run(requests: int) -> list[Result]:
    """Everything over 50,000 tracks; each load is so many requests."""
    with served(SMALL, "small") as service:
        _load(service, 0, WARM_UP)
        alone = _load(service, WARM_UP, requests)
        clocked = _load(service, WARM_UP + requests, requests, "--rate", str(RATE), "--clients", "32")
        crowd = _load(service, WARM_UP + 2 * requests, requests, "--clients", str(CLIENTS))
    return [
        limited("recommend_p50", "ms", _ms(alone, 0.5), 40),
        limited("recommend_20rps_p99", "ms", _ms(clocked, 0.99), 120),
        Result.of("recommend_saturation", "requests/s", requests / crowd["wall_s"], "asked", 35),
        Result.of("recommend_client_cpu", "cores", crowd["cpu_s"] / crowd["wall_s"]),
        limited("recommend_outside", "of the request", _outside(alone), 0.35),
        limited("recommend_ready", "s", service.start_s, 25),
    ]


def run_1m(requests: int) -> list[Result]:
    """A million tracks beside 50,000."""
    p50s = []
    for tracks, recipe in ((SMALL, "small"), (LARGE, "full")):
        with served(tracks, recipe) as service:
            _load(service, 0, WARM_UP)
            p50s.append(_ms(_load(service, WARM_UP, requests), 0.5))
    return [limited("recommend_1m_p50", "ms", p50s[1], 1.5 * p50s[0])]


@contextmanager
def served(tracks: int, recipe: str) -> Iterator[Service]:
    """A service over a made release of so many tracks, with Redis and listeners `u000000` and on."""

    def prepare(home: Path) -> date:
        served_world.write_release(home, tracks, recipe)
        return served_world.write_listeners(home / "marts", USERS, tracks)

    with (
        tempfile.TemporaryDirectory() as home,
        valkey.running() as server,
        running_service.running(
            Path(home), "redis", server.port, prepare, "/readyz", SEGUE_FEATURE_LOG_SHARE=LOGGED
        ) as service,
    ):
        yield service


def _load(service: Service, first: int, count: int, *options: str) -> dict[str, Any]:
    """What the client saw; an answer that is not 200 ends the benchmark."""
    command = [sys.executable, "-m", "tests.benchmarks.load_client", str(service.port), str(first), str(count)]
    done = subprocess.run([*command, *options], stdout=subprocess.PIPE, text=True, check=True, cwd=settings.ROOT)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    wrong = {status: told["status"].count(status) for status in set(told["status"]) - {200}}
    if wrong:
        raise RuntimeError(f"of {count} requests some were not answered: {wrong} by status")
    return told


def _ms(told: dict[str, Any], quantile: float) -> float:
    return float(np.quantile(told["seconds"], quantile)) * 1000


def _outside(told: dict[str, Any]) -> float:
    """The median share of a request's time, as the client saw it, that is neither recall nor ranking."""
    shares = [
        1 - (stages["recall"] + stages["rank"]) / (seconds * 1000)
        for seconds, stages in zip(told["seconds"], told["stage_ms"], strict=True)
    ]
    return statistics.median(shares)
