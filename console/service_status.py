"""State of the services: which respond, and what is degraded.

Degraded are the parts that the recommender reports, parts left out of recent answers, errors, missing marts, and an old release.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from config.settings import Settings, load_api_keys
from console.releases import Release
from storage import object_store

TIMEOUT_S = 1.0
HEALTH_PATHS = {
    "Airflow": ("airflow", "/api/v2/monitor/health"),
    "the recommender": ("recommender", "/readyz"),
    "MLflow": ("mlflow", "/health"),
}
RECENT_S = 300.0
ERRORS = "errors"
MIN_SKIPPED_SHARE = 0.01  # of the recent requests, as in the alerts SegueErrors and SeguePartFails
MAX_RELEASE_AGE_DAYS = 4  # as in the alert SegueReleaseOld


def read_degraded_parts(settings: Settings) -> list[dict[str, Any]]:
    """Parts of the recommender that do not work, with reasons; empty if all work or it is not running.

    One part `status` if the recommender does not tell, because it refuses the key of the console.
    """
    keys = load_api_keys()
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    url = f"{settings.service_url('recommender')}/status"
    try:
        response = httpx.get(url, headers=headers, timeout=TIMEOUT_S)
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            why = (
                f"the recommender refuses the console ({response.status_code}); start both with the same SEGUE_API_KEYS"
            )
            return [{"part": "status", "why": why}]
        parts = response.raise_for_status().json()["degraded"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return []
    return list(parts)


def read_services(settings: Settings) -> dict[str, bool]:
    """Name → whether the service responds and has loaded everything that it needs; of Airflow also its parts, such as the scheduler."""
    states: dict[str, bool] = {}
    for name, (service, path) in HEALTH_PATHS.items():
        try:
            response = httpx.get(settings.service_url(service) + path, timeout=TIMEOUT_S).raise_for_status()
            parts = response.json() if name == "Airflow" else {}
            states |= {f"Airflow's {part}": state["status"] != "unhealthy" for part, state in parts.items()}
            states[name] = True
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            states[name] = False
    return states


def find_degraded_parts(
    settings: Settings, active: Release | None, samples: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, str]]:
    """Degraded parts, each with `part`, `why` and the technical cause `error`; empty if everything works.

    Args:
        settings: Address of the recommender, and home of marts.
        active: The active release.
        samples: Live samples of the recommender's metrics, see `console.live_metrics`.
    """
    reported = [
        {"part": part["part"], "why": part["why"], "error": part.get("error", "")}
        for part in read_degraded_parts(settings)
    ]
    found = [
        *skipped_parts(samples, time.time()),
        *(missing_marts(active, settings) if active else []),
        *(old_release(active, datetime.now(UTC)) if active else []),
    ]
    names = {part["part"] for part in reported}
    return [*reported, *(part for part in found if part["part"] not in names)]


def skipped_parts(samples: Sequence[Mapping[str, Any]], now_s: float) -> list[dict[str, str]]:
    """Channels and other parts that answers of the last five minutes lack, and ERRORS if requests failed."""
    recent = [sample for sample in samples if sample["time_s"] > now_s - RECENT_S]
    requests = sum(sample["requests"] for sample in recent)
    skipped: Counter[str] = Counter()
    for sample in recent:
        skipped.update(sample["skipped"] | {ERRORS: sample["requests"] * (sample["error_share"] or 0)})
    of = f"of {requests:,.0f} answers of the last five minutes"
    return [
        {"part": part, "why": f"{'in place' if part == ERRORS else 'left out'} of {count:,.0f} {of}", "error": ""}
        for part, count in skipped.most_common()
        if count and count >= MIN_SKIPPED_SHARE * requests
    ]


def missing_marts(release: Release, settings: Settings) -> list[dict[str, str]]:
    """Marts that the release was trained on and that are no longer published."""
    published = {file.stem for file in object_store.list_files(settings.marts, "*.parquet")}
    missing = sorted(release.manifest.get("marts", {}).keys() - published)
    why = f"missing: {', '.join(missing)}; run the DAG build_features"
    return [{"part": "marts", "why": why, "error": ""}] if missing else []


def old_release(release: Release, now: datetime) -> list[dict[str, str]]:
    """The active release, if newer events than the last four days' are not in its models."""
    try:
        as_of = datetime.fromisoformat(str(release.manifest["as_of"])).replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return []
    days = (now - as_of).days
    why = f"the active release knows events before {as_of.date()}, {days} days ago; see the runs in Airflow"
    return [{"part": "release", "why": why, "error": ""}] if days > MAX_RELEASE_AGE_DAYS else []
