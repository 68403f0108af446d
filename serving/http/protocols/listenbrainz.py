"""ListenBrainz: `submit-listens` with single, imported and playing-now listens, and `validate-token`.

A listen becomes a play of the track with its recording id (`recording_mbid`), or with the same title and artist. Listens of
unknown tracks are not recorded; the response counts them. A listen that is submitted again is a
duplicate. A playing-now listen is validated only, because it says nothing about how much is played.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from serving.http.asgi import NO_SEARCH_TYPE
from serving.http.protocols.internal_call import ApiError, InternalApi

SUBMIT_PATH, VALIDATE_PATH = "/1/submit-listens", "/1/validate-token"
LISTEN_TYPES = ("single", "import", "playing_now")
MAX_LISTENS = 100
"""Listens of one request; a title is found by a search, which takes some milliseconds."""
FULL_LISTEN_MS = 240_000
"""ListenBrainz's rule: a listen is half of a track or 4 minutes; used if nothing says how long the track was played."""
MATCHES = 5
MAX_LISTENED_AT_S = 2**40


class InvalidListens(ValueError):
    """The body is not what ListenBrainz documents; the message names the field."""


async def submit_listens(api: InternalApi, user_id: str, body: bytes) -> dict[str, Any]:
    """Report the listens as plays; the response has ListenBrainz's `status` and the counts of the report.

    Raises:
        InvalidListens: The body is invalid.
        ApiError: The service cannot search now, or does not accept the events; the client sends the listens again.
    """
    kind, listens = _read(body)
    if kind == "playing_now":
        return {"status": "ok", "accepted": 0, "duplicate": 0, "unmatched": 0}
    events, unmatched = [], 0
    for listen in listens:
        track_id = await _find_track(api, listen["track_metadata"])
        if track_id is None:
            unmatched += 1
        else:
            events.append(_event(user_id, track_id, listen))
    if not events:
        return {"status": "ok", "accepted": 0, "duplicate": 0, "unmatched": unmatched}
    report = await api.post("/events", {"events": events})
    counts = {name: report[name] for name in ("accepted", "duplicate", "rejected")}
    return {"status": "ok", **counts, "unmatched": unmatched}


def _read(body: bytes) -> tuple[str, list[dict[str, Any]]]:
    """The listen type and the valid listens."""
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
        is_time = isinstance(listened_at, int) and not isinstance(listened_at, bool)
        if kind != "playing_now" and not (is_time and 0 <= listened_at < MAX_LISTENED_AT_S):
            raise InvalidListens(
                f"payload {number}: listened_at is not an integer of seconds since 1970 (UTC) below 2**40"
            )
    return kind, listens


async def _find_track(api: InternalApi, metadata: Mapping[str, Any]) -> str | None:
    """The track with the same title and artist, else the recording id, which a later release may have; else None."""
    title, artist = metadata["track_name"], metadata["artist_name"]
    try:
        found = await api.post("/search", {"query": f"{title} {artist}"[:200], "limit": MATCHES})
    except ApiError as error:
        if error.problem.get("type") != NO_SEARCH_TYPE:
            raise
        found = {"items": []}
    for track in found["items"]:
        names = {_plain(name) for name in track["artists"]} | {_plain(", ".join(track["artists"]))}
        if _plain(track["title"]) == _plain(title) and _plain(artist) in names:
            return str(track["track_id"])
    recording = _info(metadata).get("recording_mbid")
    return recording if isinstance(recording, str) and recording else None


def _event(user_id: str, track_id: str, listen: Mapping[str, Any]) -> dict[str, Any]:
    began_s, played_ms = listen["listened_at"], _played_ms(_info(listen["track_metadata"]))
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
    for name, unit in (("duration_played", 1000), ("duration_ms", 1), ("duration", 1000)):
        value = info.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value * unit < 86_400_000:
            return round(value * unit)
    return FULL_LISTEN_MS


def _info(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    info = metadata.get("additional_info")
    return info if isinstance(info, dict) else {}


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
