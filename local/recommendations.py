"""One recommendation response, printed as text: title, artists, reason."""

from __future__ import annotations

from typing import Any

import duckdb
import httpx

from config.settings import Settings, load_api_keys
from storage import object_store


class RecommendationError(RuntimeError):
    """The recommender returned an error or did not respond; the message is its own, or says where to look."""


def find_recent_user(settings: Settings) -> str:
    """Id of the user with the newest play, who therefore has a history."""
    plays = str(object_store.fetch_marts(settings) / "plays.parquet")
    newest = duckdb.execute("select user_id from read_parquet(?) order by known_at desc, user_id limit 1", [plays])
    row = newest.fetchone()
    if row is None:
        raise RecommendationError(f"{plays} contains no plays, so there is no user to recommend to; land other logs")
    return str(row[0])


def recommend(settings: Settings, user_id: str, limit: int = 5) -> dict[str, Any]:
    """Response of `POST /recommend` for a daily list.

    Raises:
        RecommendationError: The response is an error, or there is none.
    """
    url = f"http://{settings.host}:{settings.recommender_port}/recommend"
    keys = load_api_keys()
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    request = {"user_id": user_id, "scene": "daily", "limit": limit}
    try:
        response = httpx.post(url, json=request, headers=headers, timeout=60)
    except httpx.TransportError as error:
        raise RecommendationError(
            f"{url} does not respond ({type(error).__name__}); see {settings.logs / 'recommender.log'}, `make serve` "
            "restarts it"
        ) from error
    if response.is_error:
        raise RecommendationError(f"{url} returned {response.status_code}: {response.text[:500]}")
    return dict(response.json())


def format_recommendations(user_id: str, response: dict[str, Any]) -> str:
    """The response as lines of text: rank, title, artists, reason."""
    lines = [f"For listener {user_id} (release {response['release']}):"]
    for rank, item in enumerate(response["items"], start=1):
        lines.append(f"  {rank}. {item['title']} — {', '.join(item['artists'])}")
        lines.append(f"     {item['reason']}")
    return "\n".join(lines)
