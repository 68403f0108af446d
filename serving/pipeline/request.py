"""One request for recommendations, checked; the only place that knows what a client may ask."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from training.slate.scenes import SCENES, SIMILAR, TRACKS, Scene

MAX_ID_BYTES = 256
REPEAT_DISCOVERY_THRESHOLD = 0.5
COUNTRY = re.compile("[A-Za-z]{2}")


class RequestRejected(ValueError):
    """The client asked for something that cannot be answered; the message names the value and the remedy."""


@dataclass(frozen=True)
class Request:
    """Who asks, where, for how many tracks, and when (µs UTC).

    `discovery` is the share of tracks new to the listener that was asked for, 0..1; None: what the release was fitted to.
    `territory` is the upper-case code of the listener's country, "" where nobody knows it.
    `track_id` is the track that others should be similar to; then `user_id` may be empty.
    `arm` is what an experiment assigned the user to; empty: the release that answers.
    """

    request_id: str
    user_id: str
    scene: Scene
    limit: int
    at_us: int
    discovery: float | None = None
    track_id: str | None = None
    arm: str = ""
    territory: str = ""
    is_explicit_wanted: bool = True

    @property
    def prefers_repeats(self) -> bool:
        """Whether more of what is known than of what is new was asked for."""
        return self.discovery is not None and self.discovery < REPEAT_DISCOVERY_THRESHOLD


def read_request(
    user_id: str,
    scene: str,
    limit: int | None,
    now_us: int,
    discovery: float | None = None,
    request_id: str | None = None,
    territory: str = "",
    is_explicit_wanted: bool = True,
) -> Request:
    """The request that a client's words mean, with an id of its own unless it has one.

    Raises:
        RequestRejected: no such scene, a limit or share out of range, an unusable user id, or a territory that is no country.
    """
    _check_id("user_id", user_id)
    if scene not in SCENES:
        raise RequestRejected(f"scene {scene[:64]!r} is not one of {', '.join(SCENES)}")
    if discovery is not None and not 0 <= discovery <= 1:
        raise RequestRejected(f"discovery {discovery} is not between 0, nothing new, and 1, nothing known")
    wanted = SCENES[scene]
    if discovery is not None and wanted.item_type != TRACKS:
        raise RequestRejected(f"scene {scene} is of {wanted.item_type}, which have no discovery; leave discovery out")
    return Request(
        request_id or new_request_id(),
        user_id,
        wanted,
        _limit(limit, wanted),
        now_us,
        discovery,
        territory=_territory(territory),
        is_explicit_wanted=is_explicit_wanted,
    )


def read_similar(
    track_id: str,
    limit: int | None,
    user_id: str | None,
    now_us: int,
    request_id: str | None = None,
    territory: str = "",
    is_explicit_wanted: bool = True,
) -> Request:
    """The request for tracks like `track_id`, of a user or of nobody in particular.

    Raises:
        RequestRejected: a limit out of range, an unusable id, or a territory that is no country.
    """
    _check_id("track_id", track_id)
    if user_id is not None:
        _check_id("user_id", user_id)
    return Request(
        request_id or new_request_id(),
        user_id or "",
        SIMILAR,
        _limit(limit, SIMILAR),
        now_us,
        track_id=track_id,
        territory=_territory(territory),
        is_explicit_wanted=is_explicit_wanted,
    )


def new_request_id() -> str:
    """An id that no other request has."""
    return uuid.uuid4().hex


def _check_id(name: str, text: str) -> None:
    if not text.strip() or not text.isprintable() or len(text.encode()) > MAX_ID_BYTES:
        raise RequestRejected(f"{name} must be 1 to {MAX_ID_BYTES} bytes of printable text")


def _territory(code: str) -> str:
    if code and not COUNTRY.fullmatch(code):
        raise RequestRejected(f"territory {code[:16]!r} is no country; give the two letters of ISO 3166-1, as DE or US")
    return code.upper()


def _limit(limit: int | None, scene: Scene) -> int:
    if limit is not None and not 1 <= limit <= scene.max_limit:
        raise RequestRejected(
            f"limit {limit} is not between 1 and {scene.max_limit}, what scene {scene.name} gives at once"
        )
    return limit or scene.limit
