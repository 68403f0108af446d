"""Bodies of the HTTP API's requests; their field descriptions appear in the OpenAPI document.

Unknown fields are rejected, because a misspelled optional field would otherwise have no effect and no message.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from serving.messages.catalog import Language
from serving.pipeline.request import (
    DEFAULT_SCENE,
    MAX_EXCLUDED,
    MAX_ID_BYTES,
    MAX_SEEDS,
    MAX_TITLE_LENGTH,
    MIN_PATH_LENGTH,
)
from training.slate.scene_settings import PATH, SCENES, SIMILAR

MAX_EVENTS = 1000
MAX_LISTED, MAX_QUERY_LENGTH = 50, 200

TrackId = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES)]
Territory = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z]{2}$",
        description="Country of the listener, ISO 3166-1 alpha-2; default: that of the service (`SEGUE_TERRITORY`). Without "
        "either, only tracks that are available everywhere are returned",
    ),
]
Explicit = Annotated[
    bool | None,
    Field(
        description="Whether tracks with an advisory label are allowed; default: `SEGUE_EXPLICIT` of the service (yes)"
    ),
]
ReasonLanguage = Annotated[Language, Field(description="Language of the reasons: English or Chinese")]
Debug = Annotated[bool, Field(description="Whether the response has a `trace`")]


def _user_id(description: str) -> Any:
    return Field(default=None, min_length=1, max_length=MAX_ID_BYTES, description=description)


class RequestBody(BaseModel):
    """A body without unknown fields. `serving.http.problems` describes an unknown one with a suggestion."""

    model_config = ConfigDict(extra="forbid")


class RecommendRequest(RequestBody):
    """A request for recommendations, or to continue a playlist."""

    user_id: str | None = _user_id("Id of the user; may be omitted with `seeds` or `title`")
    # An enumeration in the document only: the pipeline rejects other scenes with a message that lists them.
    scene: str = Field(
        default=DEFAULT_SCENE,
        max_length=64,
        json_schema_extra={"enum": list(SCENES)},
        description=f"Place in the product: {', '.join(SCENES)}",
    )
    limit: int | None = Field(default=None, ge=1, description="Number of items; default: that of the scene")
    discovery: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Fraction of tracks in the response that the user has not played, rounded down to whole tracks; "
        "default: the release's share for the scene",
    )
    territory: Territory = None
    explicit: Explicit = None
    language: ReasonLanguage = "en"
    debug: Debug = False
    seeds: list[TrackId] = Field(
        default=[], max_length=MAX_SEEDS, description="Tracks of a playlist to continue, in its order"
    )
    title: str = Field(
        default="", max_length=MAX_TITLE_LENGTH, description="Title of the playlist to continue, in any language"
    )
    exclude: list[TrackId] = Field(
        default=[],
        max_length=MAX_EXCLUDED,
        description="Tracks that must not be in the response; may be unknown ones",
    )


class SimilarRequest(RequestBody):
    """A request for tracks similar to one."""

    track_id: TrackId = Field(description="Track to compare with")
    limit: int | None = Field(default=None, ge=1, description=f"Number of tracks; default: {SIMILAR.limit}")
    user_id: str | None = _user_id("Id of the user, whose blocked and disliked tracks are excluded")
    territory: Territory = None
    explicit: Explicit = None
    language: ReasonLanguage = "en"
    debug: Debug = False


class PathRequest(RequestBody):
    """A request for a path between two tracks."""

    from_track: TrackId = Field(alias="from", description="First track of the path")
    to_track: TrackId = Field(alias="to", description="Last track of the path")
    length: int | None = Field(
        default=None,
        ge=MIN_PATH_LENGTH,
        le=PATH.max_limit,
        description=f"Number of tracks with both ends; default: {PATH.limit}",
    )
    user_id: str | None = _user_id("Id of the user, whose blocked and disliked tracks are excluded")
    territory: Territory = None
    explicit: Explicit = None
    language: ReasonLanguage = "en"
    debug: Debug = False


class EventsRequest(RequestBody):
    """A report of events. Each row is validated on its own, by `serving.events.event_schema`."""

    events: list[Any] = Field(
        min_length=1,
        max_length=MAX_EVENTS,
        description="Rows of the data contract's `listening_events`",
    )


class ListenerRequest(RequestBody):
    """A request for the profile of a user."""

    user_id: str = Field(min_length=1, max_length=MAX_ID_BYTES, description="Id of the user")


class LibraryRequest(RequestBody):
    """A request for what a user liked, saved, marked as not interesting and blocked."""

    user_id: str = Field(min_length=1, max_length=MAX_ID_BYTES, description="Id of the user")


class TasteRequest(RequestBody):
    """A request for what shapes the recommendations of a user."""

    user_id: str = Field(min_length=1, max_length=MAX_ID_BYTES, description="Id of the user")


class ExportRequest(RequestBody):
    """A request for everything that is stored about a user."""

    user_id: str = Field(min_length=1, max_length=MAX_ID_BYTES, description="Id of the user")


class EraseRequest(RequestBody):
    """A request to erase all data of a user."""

    user_id: str = Field(min_length=1, max_length=MAX_ID_BYTES, description="Id of the user")
    confirm: str = Field(min_length=1, max_length=MAX_ID_BYTES, description="The same id again")


class ExplainRequest(RequestBody):
    """A request for the reasons why a track suits a user."""

    user_id: str = Field(min_length=1, max_length=MAX_ID_BYTES, description="Id of the user")
    track_id: TrackId = Field(description="Track to explain")
    scene: str = Field(
        default=DEFAULT_SCENE,
        max_length=64,
        description="Scene in which the track was shown. Scenes that /recommend does not have count as daily",
    )
    language: ReasonLanguage = "en"


class ListenersRequest(RequestBody):
    """A request for ids of users."""

    limit: int = Field(default=20, ge=1, le=MAX_LISTED, description="Number of ids")


class SearchRequest(RequestBody):
    """A search for tracks."""

    query: str = Field(
        default="",
        max_length=MAX_QUERY_LENGTH,
        description="Names, moods, scenes, styles, languages and years in words of English or Chinese; empty: the most played tracks",
    )
    words: str = Field(
        default="",
        max_length=MAX_QUERY_LENGTH,
        deprecated=True,
        description="Former name of `query`, used if that is empty",
    )
    limit: int = Field(default=20, ge=1, le=MAX_LISTED, description="Number of tracks")
    user_id: str | None = _user_id(
        "Id of the user, whose taste decides between similarly good matches, and whose blocked and disliked tracks are "
        "excluded"
    )
    territory: Territory = None
    explicit: Explicit = None
    language: ReasonLanguage = "en"
