"""State of the running services: whether they respond, and the recommender's `/status`."""

from __future__ import annotations

from typing import Any

import httpx

from config.settings import Settings, load_api_keys

TIMEOUT_S = 1.0
HEALTH_PATHS = {
    "Airflow": ("airflow", "/api/v2/monitor/health"),
    "recommender": ("recommender", "/readyz"),
    "MLflow": ("mlflow", "/health"),
}


def read_degraded_parts(settings: Settings) -> list[dict[str, Any]]:
    """Parts of the recommender that do not work, with reasons; empty if all work or it is not running."""
    keys = load_api_keys()
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    url = f"{settings.service_url('recommender')}/status"
    try:
        parts = httpx.get(url, headers=headers, timeout=TIMEOUT_S).raise_for_status().json()["degraded"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return []
    return list(parts)


def read_services(settings: Settings) -> dict[str, bool]:
    """Name → whether the service responds and has loaded everything that it needs."""
    urls = {name: settings.service_url(service) + path for name, (service, path) in HEALTH_PATHS.items()}
    return {name: _responds(url) for name, url in urls.items()}


def _responds(url: str) -> bool:
    try:
        return httpx.get(url, timeout=TIMEOUT_S).is_success
    except httpx.HTTPError:
        return False
