"""Latency and throughput of `POST /recommend`: the real service with Redis over a synthetic release of realistic size.

Daily lists, each of another of 20,000 users, all six channels, 300 candidates ranked by `session_domains`; the client
is its own process on the same machine (`load_client`). Results of `run(requests)` over 50,000 tracks, recipe `small`:

    recommend_p50             one client, ms; must stay under 40
    recommend_20rps_p99       open loop at 20 requests per second, ms; must stay under 120
    recommend_saturation      requests per second of eight clients; must be at least 35
    recommend_client_cpu      cores that the client itself used meanwhile
    recommend_outside         share of one client's requests outside recall and ranking; must stay under 0.35
    recommend_ready           seconds from the start of the process until it is ready; must stay under 25

`run_1m(requests)`, over a million tracks, recipe `full`: `recommend_1m_p50`, at most 1.5 times that of 50,000 tracks in
the same run.
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
# The feature log's sampling share in the cluster profile.
FEATURE_LOG_SHARE = "0.01"


def run(requests: int) -> list[Result]:
    """Return all results over 50,000 tracks; each load has `requests` requests."""
    with serve_release(SMALL, "small") as service:
        run_load(service, 0, WARM_UP_REQUESTS)
        alone = run_load(service, WARM_UP_REQUESTS, requests)
        clocked = run_load(
            service, WARM_UP_REQUESTS + requests, requests, "--rate", str(REQUESTS_PER_SECOND), "--clients", "32"
        )
        crowd = run_load(service, WARM_UP_REQUESTS + 2 * requests, requests, "--clients", str(CLIENTS))
    return [
        result_with_limit("recommend_p50", "ms", _quantile_ms(alone, 0.5), 40),
        result_with_limit("recommend_20rps_p99", "ms", _quantile_ms(clocked, 0.99), 120),
        Result.from_values("recommend_saturation", "requests/s", requests / crowd["wall_s"], "required", 35),
        Result.from_values("recommend_client_cpu", "cores", crowd["cpu_s"] / crowd["wall_s"]),
        result_with_limit("recommend_outside", "of the request", _share_outside_models(alone), 0.35),
        result_with_limit("recommend_ready", "s", service.start_s, 25),
    ]


def run_1m(requests: int) -> list[Result]:
    """Return the result of a million tracks, with a limit measured over 50,000."""
    p50s = []
    for tracks, recipe in ((SMALL, "small"), (LARGE, "full")):
        with serve_release(tracks, recipe) as service:
            run_load(service, 0, WARM_UP_REQUESTS)
            p50s.append(_quantile_ms(run_load(service, WARM_UP_REQUESTS, requests), 0.5))
    return [result_with_limit("recommend_1m_p50", "ms", p50s[1], 1.5 * p50s[0])]


@contextmanager
def serve_release(tracks: int, recipe: str, users: int = USERS) -> Iterator[Service]:
    """Run a service over a synthetic release of `tracks` tracks, with Redis and users `u000000` and on."""

    def prepare(home: Path) -> date:
        synthetic_release.write_release(home, tracks, recipe)
        return synthetic_release.write_users(home / "marts", users, tracks)

    with (
        tempfile.TemporaryDirectory() as home,
        valkey.running() as server,
        recommender_service.running(
            Path(home), "redis", server.port, prepare, "/readyz", SEGUE_FEATURE_LOG_SHARE=FEATURE_LOG_SHARE
        ) as service,
    ):
        yield service


def run_load(service: Service, first: int, count: int, *options: str) -> dict[str, Any]:
    """Return the client's measurements, and `service_cpu_s`, the processor seconds of all processes of the service.

    Raises:
        RuntimeError: A response does not have status 200.
    """
    command = [sys.executable, "-m", "benchmarks.serving.load_client", str(service.port), str(first), str(count)]
    before_s = _processor_s(service)
    done = subprocess.run([*command, *options], stdout=subprocess.PIPE, text=True, check=True, cwd=settings.ROOT)
    load: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) | {"service_cpu_s": _processor_s(service) - before_s}
    wrong = {status: load["status"].count(status) for status in set(load["status"]) - {200}}
    if wrong:
        raise RuntimeError(f"some of {count} requests failed, by status: {wrong}")
    return load


def _processor_s(service: Service) -> float:
    """Return the processor seconds that the living processes of the service have used, user and system."""
    times = [process.cpu_times() for process in service.process.members()]
    return sum(one.user + one.system for one in times)


def _quantile_ms(load: dict[str, Any], quantile: float) -> float:
    return float(np.quantile(load["seconds"], quantile)) * 1000


def _share_outside_models(load: dict[str, Any]) -> float:
    """Return the median share of a request's time, as the client measures it, outside recall and ranking."""
    shares = [
        1 - (stages["recall"] + stages["rank"]) / (seconds * 1000)
        for seconds, stages in zip(load["seconds"], load["stage_ms"], strict=True)
    ]
    return statistics.median(shares)
