"""A validated request for recommendations. The only module that validates request parameters."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from serving.errors import RequestRejected
from storage.printable_text import is_printable
from storage.suppression_list import SuppressionList
from training.slate.scene_settings import CONTINUATION, PATH, SCENES, SIMILAR, TRACKS, Scene

MAX_ID_BYTES = 256
MAX_SEEDS, MAX_EXCLUDED = 100, 1000
MAX_TITLE_LENGTH = 200
MIN_PATH_LENGTH = 2
DEFAULT_SCENE = "daily"
REPEAT_DISCOVERY_THRESHOLD = 0.5
COUNTRY = re.compile("[A-Za-z]{2}")


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
) -> Request:
    """Validate a request for recommendations; without `request_id` it gets a new one.

    With `seeds` or a `title` it is a request to continue a playlist, which needs no user.

    Raises:
        RequestRejected: Unknown scene, limit or discovery out of range, invalid ids, title or territory, or a parameter
            that does not apply to a playlist.
    """
    excluded = _distinct_ids("exclude", exclude, MAX_EXCLUDED)
    if seeds or title.strip():
        return _read_continuation(
            user_id,
            scene,
            limit,
            now_us,
            discovery,
            request_id,
            territory,
            is_explicit_wanted,
            _distinct_ids("seeds", seeds, MAX_SEEDS),
            title.strip(),
            excluded,
        )
    if user_id is None:
        raise RequestRejected("user_id is missing; give it, or seeds or a title of a playlist to continue")
    _check_id("user_id", user_id)
    if scene not in SCENES:
        raise RequestRejected(f"scene {scene[:64]!r} is not one of {', '.join(SCENES)}")
    if discovery is not None and not 0 <= discovery <= 1:
        raise RequestRejected(f"discovery {discovery} is not between 0 (no new tracks) and 1 (only new tracks)")
    row = SCENES[scene]
    if discovery is not None and row.item_type != TRACKS:
        raise RequestRejected(f"scene {scene} has {row.item_type}, for which discovery is not defined; omit discovery")
    if excluded and row.item_type != TRACKS:
        raise RequestRejected(f"scene {scene} has {row.item_type}, and exclude names tracks; omit exclude")
    return Request(
        request_id or new_request_id(),
        user_id,
        row,
        _limit(limit, row),
        now_us,
        discovery,
        territory=_territory(territory),
        is_explicit_wanted=is_explicit_wanted,
        excluded=excluded,
    )


def _read_continuation(
    user_id: str | None,
    scene: str,
    limit: int | None,
    now_us: int,
    discovery: float | None,
    request_id: str | None,
    territory: str,
    is_explicit_wanted: bool,
    seeds: tuple[str, ...],
    title: str,
    excluded: tuple[str, ...],
) -> Request:
    if user_id is not None:
        _check_id("user_id", user_id)
    if scene != DEFAULT_SCENE:
        raise RequestRejected(f"scene {scene[:64]!r} is not defined for a playlist; omit scene, or seeds and title")
    if discovery is not None:
        raise RequestRejected("discovery is not defined for a playlist; omit discovery, or seeds and title")
    if len(title) > MAX_TITLE_LENGTH:
        raise RequestRejected(f"title has {len(title)} characters; give at most {MAX_TITLE_LENGTH}")
    if not is_printable(title):
        raise RequestRejected("title has an unprintable character; remove it")
    return Request(
        request_id or new_request_id(),
        user_id or "",
        CONTINUATION,
        _limit(limit, CONTINUATION),
        now_us,
        territory=_territory(territory),
        is_explicit_wanted=is_explicit_wanted,
        seeds=seeds,
        title=title,
        excluded=excluded,
    )


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
        RequestRejected: Length out of range, equal ends, invalid id or territory.
    """
    _check_id("from", first)
    _check_id("to", last)
    if user_id is not None:
        _check_id("user_id", user_id)
    if first == last:
        raise RequestRejected(f"from and to are both {first!r}; give two tracks")
    if length is not None and not MIN_PATH_LENGTH <= length <= PATH.max_limit:
        raise RequestRejected(f"length {length} is not between {MIN_PATH_LENGTH} and {PATH.max_limit}")
    return Request(
        request_id or new_request_id(),
        user_id or "",
        PATH,
        length or PATH.limit,
        now_us,
        territory=_territory(territory),
        is_explicit_wanted=is_explicit_wanted,
        seeds=(first, last),
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
    """Validate a request for tracks similar to `track_id`, with or without a user.

    Raises:
        RequestRejected: Limit out of range, invalid id or territory.
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


def read_search(user_id: str | None, now_us: int, territory: str = "", is_explicit_wanted: bool = True) -> Request:
    """Validate a search request, with or without a user; it has the scene and limit of `similar`, which do not matter.

    Raises:
        RequestRejected: Invalid id or territory.
    """
    if user_id is not None:
        _check_id("user_id", user_id)
    return Request(
        new_request_id(),
        user_id or "",
        SIMILAR,
        SIMILAR.limit,
        now_us,
        territory=_territory(territory),
        is_explicit_wanted=is_explicit_wanted,
    )


def anonymize_erased_user(request: Request, erased: SuppressionList) -> Request:
    """The request without its user id if the user was erased: no user data is read or written."""
    return replace(request, user_id="") if request.user_id in erased else request


def new_request_id() -> str:
    """A unique request id."""
    return uuid.uuid4().hex


def _distinct_ids(name: str, ids: Sequence[str], most: int) -> tuple[str, ...]:
    if len(ids) > most:
        raise RequestRejected(f"{name} has {len(ids)} tracks; give at most {most}")
    for track_id in ids:
        _check_id(f"{name}: track id {track_id[:64]!r}", track_id)
    return tuple(dict.fromkeys(ids))


def _check_id(name: str, text: str) -> None:
    if not text.strip() or not is_printable(text):
        raise RequestRejected(f"{name} is blank or not printable; give 1 to {MAX_ID_BYTES} bytes of printable text")
    if (size := len(text.encode())) > MAX_ID_BYTES:
        raise RequestRejected(f"{name} has {size} bytes; give at most {MAX_ID_BYTES}")
    if text != text.strip():
        raise RequestRejected(f"{name} begins or ends with white space; remove it")


def _territory(code: str) -> str:
    if code and not COUNTRY.fullmatch(code):
        raise RequestRejected(f"territory {code[:16]!r} is not a country code; use ISO 3166-1 alpha-2, e.g. DE or US")
    return code.upper()


def _limit(limit: int | None, scene: Scene) -> int:
    if limit is not None and not 1 <= limit <= scene.max_limit:
        raise RequestRejected(
            f"limit {limit} is not between 1 and {scene.max_limit}, the maximum of scene {scene.name}"
        )
    return limit or scene.limit
