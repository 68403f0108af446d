"""ListenBrainz: `submit-listens` with single, imported and playing-now listens, and `validate-token`.

A listen becomes a play of the track with the same title and artist, else with its recording id (`recording_mbid`). Listens
of unknown tracks are not recorded; the response counts them. A listen that is submitted again is a duplicate, so a client
sends all listens of an interrupted import again. A playing-now listen is validated only, because it says nothing about how
much is played.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

SUBMIT_PATH, VALIDATE_PATH = "/1/submit-listens", "/1/validate-token"
LISTEN_TYPES = ("single", "import", "playing_now")
MAX_LISTENS = 100
"""Listens of one request; each counts as a request against the rate limit."""
FULL_LISTEN_MS = 240_000
"""ListenBrainz's rule: a listen is half of a track or 4 minutes; used if nothing says how long the track was played."""
MIN_LENGTH_MS = 5_000
MAX_LISTENED_AT_S = 2**40

Listen = dict[str, Any]
Post = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]


class InvalidListens(ValueError):
    """The body is not what ListenBrainz documents; the message names the field."""


def names_of(listens: Sequence[Listen]) -> list[tuple[str, str]]:
    """Title and artist of each listen."""
    return [(one["track_metadata"]["track_name"], one["track_metadata"]["artist_name"]) for one in listens]


async def submit_listens(
    post: Post, user_id: str, listens: Sequence[Listen], tracks: Sequence[str | None]
) -> dict[str, Any]:
    """Report the listens as plays; the response has ListenBrainz's `status` and the counts of the report.

    Args:
        post: Calls the API of the service with a path and a body.
        user_id: The listener.
        listens: From `read_listens`; none for a track that is playing now.
        tracks: Ids of the tracks with the same title and artist; None without one.

    Raises:
        HTTPException: The service does not accept the events; the client sends the listens again.
    """
    # The recording id may be the id of a track that a later release has.
    found = [track or _recording_id(listen) for listen, track in zip(listens, tracks, strict=True)]
    events = [_event(user_id, track, listen) for listen, track in zip(listens, found, strict=True) if track]
    counts = {"accepted": 0, "duplicate": 0}
    if events:
        report = await post("/events", {"events": events})
        counts = {name: report[name] for name in ("accepted", "duplicate", "rejected")}
    return {"status": "ok", **counts, "unmatched": len(listens) - len(events)}


def read_listens(body: bytes) -> list[Listen]:
    """The listens to record; empty for a track that is playing now.

    Raises:
        InvalidListens: The body is invalid.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidListens(f"the body is not JSON: {error}") from error
    kind = content.get("listen_type") if isinstance(content, dict) else None
    if kind not in LISTEN_TYPES:
        raise InvalidListens(f"listen_type {str(kind)[:64]!r} is not one of {', '.join(LISTEN_TYPES)}")
    listens = content.get("payload")
    most = MAX_LISTENS if kind == "import" else 1
    if not isinstance(listens, list) or not 1 <= len(listens) <= most:
        raise InvalidListens(f"payload must be a list of 1 to {most} listens for listen_type {kind}")
    for number, listen in enumerate(listens):
        metadata = listen.get("track_metadata") if isinstance(listen, dict) else None
        for name in ("artist_name", "track_name"):
            if not isinstance(metadata, dict) or not isinstance(metadata.get(name), str) or not metadata[name].strip():
                raise InvalidListens(f"payload {number}: track_metadata.{name} is missing")
        listened_at = listen.get("listened_at")
        is_time = isinstance(listened_at, int | float) and not isinstance(listened_at, bool)
        if kind != "playing_now" and not (is_time and 0 <= listened_at < MAX_LISTENED_AT_S):
            raise InvalidListens(
                f"payload {number}: listened_at is not a number of seconds since 1970 (UTC) below 2**40"
            )
    return [] if kind == "playing_now" else listens


def _event(user_id: str, track_id: str, listen: Mapping[str, Any]) -> dict[str, Any]:
    # supysonic sends fractions of seconds.
    began_s, played_ms = int(listen["listened_at"]), _played_ms(_info(listen["track_metadata"]))
    # Clients submit a listen before its end.
    until_now_ms = max(1000, round(time.time() - began_s) * 1000)
    # Without `played_ms`, which is another one when the listen is submitted again.
    identity = repr((user_id, track_id, began_s)).encode()
    return {
        "event_id": hashlib.blake2b(identity, digest_size=16).hexdigest(),
        "user_id": user_id,
        "target_type": "track",
        "target_id": track_id,
        "action": "play",
        "occurred_at": began_s * 1_000_000,
        "played_ms": min(played_ms, until_now_ms),
        "device": "listenbrainz",
    }


def _played_ms(info: Mapping[str, Any]) -> int:
    # supysonic sends seconds as `duration_ms`; no track is so short that this would matter.
    for name, unit, least in (("duration_played", 1000, 1), ("duration_ms", 1, MIN_LENGTH_MS), ("duration", 1000, 1)):
        value = info.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value * unit < 86_400_000:
            return round(value * unit)
    return FULL_LISTEN_MS


def _info(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    info = metadata.get("additional_info")
    return info if isinstance(info, dict) else {}


def _recording_id(listen: Listen) -> str | None:
    recording = _info(listen["track_metadata"]).get("recording_mbid")
    return recording if isinstance(recording, str) and recording else None
