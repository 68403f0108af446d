"""One answer of the recommender, printed for a person: title, artist, why."""

from __future__ import annotations

from typing import Any

import duckdb
import httpx

from config.settings import Settings, load_api_keys
from storage import object_store


class RecommendationError(RuntimeError):
    """The recommender has no answer; the message is its own, or says where to look."""


def find_recent_user(settings: Settings) -> str:
    """The user with the newest play: a real listener with a history."""
    plays = str(object_store.fetch_marts(settings) / "plays.parquet")
    newest = duckdb.execute("select user_id from read_parquet(?) order by known_at desc, user_id limit 1", [plays])
    row = newest.fetchone()
    if row is None:
        raise RecommendationError(f"{plays} holds no play, so there is nobody to recommend to; land other logs")
    return str(row[0])


def recommend(settings: Settings, user_id: str, limit: int = 5) -> dict[str, Any]:
    """What `POST /recommend` answers for a daily list.

    Raises:
        AnswerError: it answered an error, or nothing.
    """
    url = f"http://{settings.host}:{settings.recommender_port}/recommend"
    keys = load_api_keys()
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    try:
        answer = httpx.post(
            url, json={"user_id": user_id, "scene": "daily", "limit": limit}, headers=headers, timeout=60
        )
    except httpx.TransportError as error:
        raise RecommendationError(
            f"{url} does not answer ({type(error).__name__}); see {settings.logs / 'recommender.log'}, `make serve` starts it again"
        ) from error
    if answer.is_error:
        raise RecommendationError(f"{url} answers {answer.status_code}: {answer.text[:500]}")
    return dict(answer.json())


def format_recommendations(user_id: str, answer: dict[str, Any]) -> str:
    """The answer as lines: rank, title, artists, reason."""
    lines = [f"For listener {user_id} (release {answer['release']}):"]
    for rank, item in enumerate(answer["items"], start=1):
        lines.append(f"  {rank}. {item['title']} — {', '.join(item['artists'])}")
        lines.append(f"     {item['reason']}")
    return "\n".join(lines)
