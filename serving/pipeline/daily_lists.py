"""Daily lists shown to users: today's list is stable, and tracks of recent lists are excluded from it.

The workers share them. A machine failure may lose the latest lists, which are then generated again. Days are UTC. Each value of
`discovery`, to two decimals, has its own list. Independent of models or HTTP.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from event_store.store import DAY_US, ServingState
from serving.pipeline.request import Request

logger = logging.getLogger(__name__)


class ListChanged(Exception):
    """Another request has replaced the list meanwhile: the response must continue that one."""


@dataclass(frozen=True)
class ListedTrack:
    """One track of a list, as it was shown."""

    track_id: str
    score: float
    channels: list[str]
    place: int  # in the list, from 0; a track that takes the place of a disliked one shares it
    propensity: float = 1.0  # probability of an explored track, otherwise 1
    release: str = ""  # release that chose the track
    is_new: bool = False  # the user had not played it when it was listed


@dataclass(frozen=True)
class DailyListHistory:
    """Lists of one user: `today`, best first, and the tracks of recent previous days."""

    today: list[ListedTrack] = field(default_factory=list)
    recent_track_ids: frozenset[str] = frozenset()
    stored: str | None = None  # today's list as it is stored


def read_lists(state: ServingState, request: Request) -> DailyListHistory:
    """The list of the day of a request, and the tracks of all lists of the days before it that its scene excludes, without
    damaged lists.

    Raises:
        StoreUnavailable: The lists cannot be read.
    """
    today, key = request.at_us // DAY_US, _discovery_key(request.discovery)
    found: dict[tuple[int, str], list[ListedTrack]] = {}
    stored = None
    for day, name, text in state.read_lists(request.user_id, today - request.scene.repeat_cooldown_days):
        try:
            found[day, name] = [ListedTrack(**row) for row in json.loads(text)]
        except (ValueError, TypeError):
            logger.exception("the daily list of a user of day %s cannot be decoded; it is left out", day)
        stored = text if (day, name) == (today, key) else stored
    recent = frozenset(track.track_id for (day, _), tracks in found.items() if day < today for track in tracks)
    return DailyListHistory(found.get((today, key), []), recent, stored)


def write_list(state: ServingState, request: Request, tracks: Sequence[ListedTrack], before: DailyListHistory) -> None:
    """Replace the list of the day of a request.

    Raises:
        ListChanged: Another request has replaced it since `before` was read.
        StoreUnavailable: The list cannot be written.
    """
    key, text = _discovery_key(request.discovery), json.dumps([vars(track) for track in tracks], separators=(",", ":"))
    # A day more, for a request that still reads the lists of yesterday.
    day, kept_days = request.at_us // DAY_US, request.scene.repeat_cooldown_days + 1
    if not state.replace_list(request.user_id, day, key, before.stored, text, kept_days):
        raise ListChanged


def _discovery_key(discovery: float | None) -> str:
    return "" if discovery is None else f"{discovery:.2f}"
