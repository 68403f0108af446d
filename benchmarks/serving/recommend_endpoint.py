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

from benchmarks.result import Result, result_with_limit
from benchmarks.serving import synthetic_release
from config import settings
from tests.support import recommender_service, valkey
from tests.support.recommender_service import Service

USERS = 20_000
SMALL, LARGE = 50_000, 1_000_000
WARM_UP_REQUESTS = 40
REQUESTS_PER_SECOND, CLIENTS = 20.0, 8
# The share of requests whose features are written down in the cluster profile.
FEATURE_LOG_SHARE = "0.01"


def run(requests: int) -> list[Result]:
    """Everything over 50,000 tracks; each load is so many requests."""
    with serve_release(SMALL, "small") as service:
        _run_load(service, 0, WARM_UP_REQUESTS)
        alone = _run_load(service, WARM_UP_REQUESTS, requests)
        clocked = _run_load(
            service, WARM_UP_REQUESTS + requests, requests, "--rate", str(REQUESTS_PER_SECOND), "--clients", "32"
        )
        crowd = _run_load(service, WARM_UP_REQUESTS + 2 * requests, requests, "--clients", str(CLIENTS))
    return [
        result_with_limit("recommend_p50", "ms", _quantile_ms(alone, 0.5), 40),
        result_with_limit("recommend_20rps_p99", "ms", _quantile_ms(clocked, 0.99), 120),
        Result.from_values("recommend_saturation", "requests/s", requests / crowd["wall_s"], "asked", 35),
        Result.from_values("recommend_client_cpu", "cores", crowd["cpu_s"] / crowd["wall_s"]),
        result_with_limit("recommend_outside", "of the request", _share_outside_models(alone), 0.35),
        result_with_limit("recommend_ready", "s", service.start_s, 25),
    ]


def run_1m(requests: int) -> list[Result]:
    """A million tracks beside 50,000."""
    p50s = []
    for tracks, recipe in ((SMALL, "small"), (LARGE, "full")):
        with serve_release(tracks, recipe) as service:
            _run_load(service, 0, WARM_UP_REQUESTS)
            p50s.append(_quantile_ms(_run_load(service, WARM_UP_REQUESTS, requests), 0.5))
    return [result_with_limit("recommend_1m_p50", "ms", p50s[1], 1.5 * p50s[0])]


@contextmanager
def serve_release(tracks: int, recipe: str) -> Iterator[Service]:
    """A service over a made release of so many tracks, with Redis and listeners `u000000` and on."""

    def prepare(home: Path) -> date:
        synthetic_release.write_release(home, tracks, recipe)
        return synthetic_release.write_users(home / "marts", USERS, tracks)

    with (
        tempfile.TemporaryDirectory() as home,
        valkey.running() as server,
        recommender_service.running(
            Path(home), "redis", server.port, prepare, "/readyz", SEGUE_FEATURE_LOG_SHARE=FEATURE_LOG_SHARE
        ) as service,
    ):
        yield service


def _run_load(service: Service, first: int, count: int, *options: str) -> dict[str, Any]:
    """What the client saw; an answer that is not 200 ends the benchmark."""
    command = [sys.executable, "-m", "benchmarks.serving.load_client", str(service.port), str(first), str(count)]
    done = subprocess.run([*command, *options], stdout=subprocess.PIPE, text=True, check=True, cwd=settings.ROOT)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    wrong = {status: told["status"].count(status) for status in set(told["status"]) - {200}}
    if wrong:
        raise RuntimeError(f"of {count} requests some were not answered: {wrong} by status")
    return told


def _quantile_ms(told: dict[str, Any], quantile: float) -> float:
    return float(np.quantile(told["seconds"], quantile)) * 1000


def _share_outside_models(told: dict[str, Any]) -> float:
    """The median share of a request's time, as the client saw it, that is neither recall nor ranking."""
    shares = [
        1 - (stages["recall"] + stages["rank"]) / (seconds * 1000)
        for seconds, stages in zip(told["seconds"], told["stage_ms"], strict=True)
    ]
    return statistics.median(shares)
