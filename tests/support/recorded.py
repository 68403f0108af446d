"""What the recommender records in the stores of a home: events and responses."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from config.settings import Settings
from event_store.event_rules import COLUMN
from event_store.opened import now_us, open_event_store, open_serving_state

MINUTE_US = 60_000_000


def recorded_event(number: int, user: str = "u1", **columns: Any) -> dict[str, Any]:
    """A like as the recommender stores it, a minute ago."""
    at_us = now_us() - MINUTE_US
    row = {"event_id": f"e{number}", "user_id": user, "target_type": "track", "target_id": "t1", "action": "like"}
    times = {"occurred_at": at_us, "ended_at": at_us}
    return dict.fromkeys(COLUMN) | row | times | {"behavior": "like", "played_ratio": None} | columns


def shown(number: int, user: str = "u1", items: int = 2) -> dict[str, Any]:
    """The record of a response."""
    row = {"target_type": "track", "channels": ["realtime"], "propensity": 1.0, "is_exploration": False}
    return {
        "request_id": f"r{number}",
        "user_id": user,
        "scene": "daily",
        "shown_at": now_us() - MINUTE_US,
        "release": "v1",
        "arm": "v1",
        "items": [row | {"target_id": f"t{place}", "position": place} for place in range(items)],
    }


def record(home: Path, events: list[dict[str, Any]], responses: list[dict[str, Any]] = (), days_ago: float = 0) -> None:  # type: ignore[assignment]
    """Append events and responses that were received some days ago."""
    here = Settings(home=home)

    def clock() -> int:
        return now_us() - int(days_ago * 86_400_000_000)

    with closing(open_event_store(here, clock)) as store, closing(open_serving_state(here, clock)) as state:
        store.append(events)
        for response in responses:
            state.add_exposure(response["user_id"], response)


def events(home: Path) -> list[dict[str, Any]]:
    """The events that the store of a home has, in the order of commit."""
    with closing(open_event_store(Settings(home=home))) as store:
        return [event for _, event in store.read(None, 1_000_000)]
