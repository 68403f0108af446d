"""One request for recommendations, checked; the only place that knows what a client may ask."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from serving.scenes import SCENES, Scene

LONGEST_USER_ID = 256
RELISTENING = 0.5


class RequestRejected(ValueError):
    """The client asked for something that cannot be answered; the message names the value and the remedy."""


@dataclass(frozen=True)
class Request:
    """Who asks, where, for how many tracks, and when (µs UTC).

    `discovery` is the share of tracks new to the listener that was asked for, 0..1; None: what the release was fitted to.
    """

    request_id: str
    user_id: str
    scene: Scene
    limit: int
    at_us: int
    discovery: float | None = None

    @property
    def is_relistening(self) -> bool:
        """Whether more of what is known than of what is new was asked for."""
        return self.discovery is not None and self.discovery < RELISTENING


def read_request(user_id: str, scene: str, limit: int | None, now_us: int, discovery: float | None = None) -> Request:
    """The request that a client's words mean, with an id of its own.

    Raises:
        RequestRejected: no such scene, a limit or share out of range, or an unusable user id.
    """
    if not user_id.strip() or not user_id.isprintable() or len(user_id.encode()) > LONGEST_USER_ID:
        raise RequestRejected(f"user_id must be 1 to {LONGEST_USER_ID} bytes of printable text")
    if scene not in SCENES:
        raise RequestRejected(f"scene {scene[:64]!r} is not one of {', '.join(SCENES)}")
    wanted = SCENES[scene]
    if limit is not None and not 1 <= limit <= wanted.most:
        raise RequestRejected(f"limit {limit} is not between 1 and {wanted.most}, what scene {scene} gives at once")
    if discovery is not None and not 0 <= discovery <= 1:
        raise RequestRejected(f"discovery {discovery} is not between 0, nothing new, and 1, nothing known")
    return Request(uuid.uuid4().hex, user_id, wanted, limit or wanted.limit, now_us, discovery)
