"""A validated request for recommendations.

The schema of the HTTP API (`serving.request_schemas`) limits the numbers of tracks, the length of a title and of a path, and the
form of a territory; everything else is validated here, because other programs make requests, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from event_store.event_rules import MAX_ID_BYTES, is_printable
from recommender.slate.scene_settings import CONTINUATION, PATH, SCENES, SIMILAR, TRACKS, Scene
from serving.errors import RequestRejected
from storage.suppression_list import SuppressionList

DEFAULT_SCENE = "daily"
REPEAT_DISCOVERY_THRESHOLD = 0.5


@dataclass(frozen=True)
class Request:
    """One validated request."""

    request_id: str
    user_id: str  # may be empty for similar tracks, continuations and paths
    scene: Scene
    limit: int
    at_us: int  # time of the request, µs since 1970, UTC
    discovery: float | None = None  # fraction of new tracks, 0..1; None for the release's share
    track_id: str | None = None  # track of a request for similar tracks
    arm: str = ""  # arm of the experiment; empty without one
    territory: str = ""  # upper-case country code; empty if unknown
    is_explicit_wanted: bool = True
    seeds: tuple[str, ...] = ()  # distinct tracks of the playlist to continue, or the two ends of a path
    negative_seeds: tuple[str, ...] = ()  # distinct tracks that the response should not resemble
    title: str = ""  # of the playlist to continue
    is_private: bool = False  # within a private session of the user: nothing is recorded
    excluded: tuple[str, ...] = ()  # tracks that must not be in the response; may be unknown

    @property
    def is_about_tracks(self) -> bool:
        """Whether the response depends on tracks or a title instead of what the user played."""
        return self.scene.name not in SCENES

    @property
    def prefers_repeats(self) -> bool:
        """Whether the request has more known than new tracks."""
        return self.discovery is not None and self.discovery < REPEAT_DISCOVERY_THRESHOLD


def read_request(
    user_id: str | None,
    scene: str,
    limit: int | None,
    now_us: int,
    discovery: float | None = None,
    request_id: str | None = None,
    territory: str = "",
    is_explicit_wanted: bool = True,
    seeds: Sequence[str] = (),
    title: str = "",
    exclude: Sequence[str] = (),
    negative_seeds: Sequence[str] = (),
) -> Request:
    """Validate a request for recommendations; without `request_id` it gets a new one.

    With `seeds` or a `title` it is a request to continue a playlist, which needs no user.

    Raises:
        RequestRejected: Unknown scene, limit or discovery out of range, invalid ids or title, negative seeds without seeds, or a
            parameter that does not apply to a playlist.
    """
    excluded, negatives = _distinct_ids("exclude", exclude), _distinct_ids("negative_seeds", negative_seeds)
    if negatives and not seeds:
        raise RequestRejected("negative_seeds need seeds; give the tracks to continue, or omit negative_seeds")
    common = user_id, limit, now_us, request_id, territory, is_explicit_wanted
    if seeds or title.strip():
        _check_playlist(scene, discovery, title.strip())
        given: dict[str, Any] = {"seeds": _distinct_ids("seeds", seeds), "negative_seeds": negatives}
        return _request(CONTINUATION, *common, title=title.strip(), excluded=excluded, **given)
    if user_id is None:
        raise RequestRejected("user_id is missing; give it, or seeds or a title of a playlist to continue", "user_id")
    if scene not in SCENES:
        raise RequestRejected(f"scene {scene[:64]!r} is not one of {', '.join(SCENES)}", "scene")
    if discovery is not None and not 0 <= discovery <= 1:
        raise RequestRejected(
            f"discovery {discovery} is not between 0 (no new tracks) and 1 (only new tracks)", "discovery"
        )
    row = SCENES[scene]
    if discovery is not None and row.item_type != TRACKS:
        raise RequestRejected(
            f"scene {scene} has {row.item_type}, for which discovery is not defined; omit discovery", "discovery"
        )
    if excluded and row.item_type != TRACKS:
        raise RequestRejected(f"scene {scene} has {row.item_type}, and exclude names tracks; omit exclude", "exclude")
    return _request(row, *common, discovery=discovery, excluded=excluded)


def _check_playlist(scene: str, discovery: float | None, title: str) -> None:
    if scene != DEFAULT_SCENE:
        raise RequestRejected(
            f"scene {scene[:64]!r} is not defined for a playlist; omit scene, or seeds and title", "scene"
        )
    if discovery is not None:
        raise RequestRejected(
            "discovery is not defined for a playlist; omit discovery, or seeds and title", "discovery"
        )
    if not is_printable(title):
        raise RequestRejected("title has an unprintable character; remove it", "title")


def read_path(
    first: str,
    last: str,
    length: int | None,
    user_id: str | None,
    now_us: int,
    request_id: str | None = None,
    territory: str = "",
    is_explicit_wanted: bool = True,
) -> Request:
    """Validate a request for a path from track `first` to track `last`, with or without a user.

    Raises:
        RequestRejected: Equal ends or an invalid id.
    """
    _check_id("from", first)
    _check_id("to", last)
    if first == last:
        raise RequestRejected(f"from and to are both {first!r}; give two tracks", "to")
    return _request(PATH, user_id, length, now_us, request_id, territory, is_explicit_wanted, seeds=(first, last))


def read_similar(
    track_id: str,
    limit: int | None,
    user_id: str | None,
    now_us: int,
    request_id: str | None = None,
    territory: str = "",
    is_explicit_wanted: bool = True,
    exclude: Sequence[str] = (),
    negative_seeds: Sequence[str] = (),
) -> Request:
    """Validate a request for tracks similar to `track_id`, with or without a user.

    Raises:
        RequestRejected: Limit out of range, invalid id.
    """
    _check_id("track_id", track_id)
    excluded, negatives = _distinct_ids("exclude", exclude), _distinct_ids("negative_seeds", negative_seeds)
    common = user_id, limit, now_us, request_id, territory, is_explicit_wanted
    return _request(SIMILAR, *common, track_id=track_id, excluded=excluded, negative_seeds=negatives)


def read_search(user_id: str | None, now_us: int, territory: str = "", is_explicit_wanted: bool = True) -> Request:
    """Validate a search request, with or without a user; it has the scene and limit of `similar`, which do not matter.

    Raises:
        RequestRejected: Invalid id.
    """
    return _request(SIMILAR, user_id, None, now_us, None, territory, is_explicit_wanted)


def anonymize_erased_user(request: Request, erased: SuppressionList) -> Request:
    """The request without its user id if the user was erased: no user data is read or written."""
    return replace(request, user_id="") if request.user_id in erased else request


def new_request_id() -> str:
    """A unique request id."""
    return uuid.uuid4().hex


def _request(
    scene: Scene,
    user_id: str | None,
    limit: int | None,
    now_us: int,
    request_id: str | None,
    territory: str,
    is_explicit_wanted: bool,
    **others: Any,
) -> Request:
    if user_id is not None:
        _check_id("user_id", user_id)
    if limit is not None and not 1 <= limit <= scene.max_limit:
        raise RequestRejected(
            f"limit {limit} is not between 1 and {scene.max_limit}, the maximum of scene {scene.name}", "limit"
        )
    return Request(
        request_id or new_request_id(),
        user_id or "",
        scene,
        limit or scene.limit,
        now_us,
        territory=territory.upper(),
        is_explicit_wanted=is_explicit_wanted,
        **others,
    )


def _distinct_ids(name: str, ids: Sequence[str]) -> tuple[str, ...]:
    for track_id in ids:
        _check_id(f"{name}: track id {track_id[:64]!r}", track_id)
    return tuple(dict.fromkeys(ids))


def _check_id(name: str, text: str) -> None:
    field = name.partition(":")[0]
    if not text.strip() or not is_printable(text):
        raise RequestRejected(
            f"{name} is blank or not printable; give 1 to {MAX_ID_BYTES} bytes of printable text", field
        )
    if (size := len(text.encode())) > MAX_ID_BYTES:
        raise RequestRejected(f"{name} has {size} bytes; give at most {MAX_ID_BYTES}", field)
    if text != text.strip():
        raise RequestRejected(f"{name} begins or ends with white space; remove it", field)
