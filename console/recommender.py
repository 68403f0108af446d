"""State of the running recommender, from its `/status`."""

from __future__ import annotations

from typing import Any

import httpx

from config.settings import Settings, load_api_keys

TIMEOUT_S = 1.0


def read_degraded_parts(settings: Settings) -> list[dict[str, Any]]:
    """Parts of the recommender that do not work, with reasons; empty if all work or it is not running."""
    keys = load_api_keys()
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    url = f"http://{settings.host}:{settings.recommender_port}/status"
    try:
        parts = httpx.get(url, headers=headers, timeout=TIMEOUT_S).raise_for_status().json()["degraded"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return []
    return list(parts)
