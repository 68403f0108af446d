"""Bodies of the HTTP API's requests; their field descriptions appear in the OpenAPI document.

Unknown fields are rejected, because a misspelled optional field would otherwise have no effect and no message.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from event_store.event_rules import ID_PATTERN, MAX_ID_BYTES, PRINTABLE_PATTERN
from recommender.slate.scene_settings import CONTINUATION, PATH, SCENES, SIMILAR
from serving.messages import Language
from serving.pipeline.request import DEFAULT_SCENE

MAX_EVENTS = 1000
MAX_SEEDS, MAX_EXCLUDED = 100, 1000
MAX_TITLE_LENGTH = 200
MIN_PATH_LENGTH = 2
MAX_LISTED, MAX_QUERY_LENGTH = 50, 200

MAX_LIMIT = max(scene.max_limit for scene in (*SCENES.values(), CONTINUATION))


def _read_integer(value: object) -> object:
    """An integer that is written as 5.0, which is one in JSON Schema, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Patterns and maxima are in the document only: the pipeline rejects other values with messages that name the remedy.
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES, json_schema_extra={"pattern": ID_PATTERN})]
Whole = BeforeValidator(_read_integer)
SceneLimit = Annotated[int, Field(ge=1, json_schema_extra={"maximum": MAX_LIMIT}), Whole]
SimilarLimit = Annotated[int, Field(ge=1, json_schema_extra={"maximum": SIMILAR.max_limit}), Whole]
PathLength = Annotated[int, Field(ge=MIN_PATH_LENGTH, le=PATH.max_limit), Whole]
ListedLimit = Annotated[int, Field(ge=1, le=MAX_LISTED), Whole]
Territory = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z]{2}$",
        description="Country of the listener, ISO 3166-1 alpha-2; default: `SEGUE_TERRITORY` of the service. Without "
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
NegativeSeeds = Annotated[
    list[Id],
    Field(max_length=MAX_SEEDS, description="Tracks that the response should not resemble: close tracks sink"),
]
Excluded = Annotated[
    list[Id],
    Field(max_length=MAX_EXCLUDED, description="Tracks that must not be in the response; may be unknown ones"),
]


class RequestBody(BaseModel):
    """A body without unknown fields, whose values have the types of the document: 0 is no boolean, and "5" no number.

    `serving.http.problems` describes an unknown field with a suggestion.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


class RecommendRequest(RequestBody):
    """A request for recommendations, or to continue a playlist."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {
                    "required": ["user_id"],
                    "properties": {"user_id": {"type": "string"}, "negative_seeds": {"maxItems": 0}},
                },
                {"required": ["seeds"], "properties": {"seeds": {"minItems": 1}}},
                {"required": ["title"], "properties": {"title": {"pattern": r"\S"}, "negative_seeds": {"maxItems": 0}}},
            ],
            # Without `if`, which `bentoml build` does not know.
            "allOf": [
                {
                    "anyOf": [
                        {"properties": {"scene": {"enum": [name for name in SCENES if name != scene.name]}}},
                        {"properties": {"limit": {"maximum": scene.max_limit}}},
                    ]
                }
                for scene in SCENES.values()
                if scene.max_limit < MAX_LIMIT
            ],
        }
    )

    user_id: Id | None = Field(default=None, description="Id of the user; may be omitted with `seeds` or `title`")
    # An enumeration in the document only, as patterns.
    scene: str = Field(
        default=DEFAULT_SCENE,
        max_length=64,
        json_schema_extra={"enum": list(SCENES)},
        description=f"Place in the product: {', '.join(SCENES)}",
    )
    limit: SceneLimit | None = Field(
        default=None,
        description="Number of items, at most "
        + ", ".join(f"{scene.max_limit} in {scene.name}" for scene in SCENES.values())
        + f", and {CONTINUATION.max_limit} with `seeds` or `title`; default: the limit of the scene",
    )
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
    seeds: list[Id] = Field(
        default=[], max_length=MAX_SEEDS, description="Tracks of a playlist to continue, in its order"
    )
    negative_seeds: NegativeSeeds = []
    title: str = Field(
        default="",
        max_length=MAX_TITLE_LENGTH,
        json_schema_extra={"pattern": PRINTABLE_PATTERN},
        description="Title of the playlist to continue, in any language",
    )
    exclude: Excluded = []


class SimilarRequest(RequestBody):
    """A request for tracks similar to one."""

    track_id: Id = Field(description="Track to compare with")
    limit: SimilarLimit | None = Field(default=None, description=f"Number of tracks; default: {SIMILAR.limit}")
    user_id: Id | None = Field(
        default=None, description="Id of the user, whose blocked and disliked tracks are excluded"
    )
    territory: Territory = None
    explicit: Explicit = None
    language: ReasonLanguage = "en"
    debug: Debug = False
    negative_seeds: NegativeSeeds = []
    exclude: Excluded = []


class PathRequest(RequestBody):
    """A request for a path between two tracks."""

    from_track: Id = Field(alias="from", description="First track of the path")
    to_track: Id = Field(alias="to", description="Last track of the path")
    length: PathLength | None = Field(
        default=None, description=f"Number of tracks with both ends; default: {PATH.limit}"
    )
    user_id: Id | None = Field(
        default=None, description="Id of the user, whose blocked and disliked tracks are excluded"
    )
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

    user_id: Id = Field(description="Id of the user")


class LibraryRequest(ListenerRequest):
    """A request for likes, saved songs, dislikes and blocks of a user."""


class TasteRequest(ListenerRequest):
    """A request for the taste profile of a user."""


class ExportRequest(ListenerRequest):
    """A request for all stored data of a user."""


class EraseRequest(ListenerRequest):
    """A request to erase all data of a user."""

    confirm: Id = Field(description="The same id again")


class ExplainRequest(ListenerRequest):
    """A request for the reasons why a track suits a user."""

    track_id: Id = Field(description="Track to explain")
    scene: str = Field(
        default=DEFAULT_SCENE,
        max_length=64,
        description="Scene in which the track was shown. Scenes that /recommend does not have count as daily",
    )
    language: ReasonLanguage = "en"


class ListenersRequest(RequestBody):
    """A request for ids of users."""

    limit: ListedLimit = Field(default=20, description="Number of ids")


class SearchRequest(RequestBody):
    """A search for tracks."""

    query: str = Field(
        default="",
        max_length=MAX_QUERY_LENGTH,
        description="Names, moods, scenes, styles, languages and years in words of English or Chinese; empty: the most played tracks",
    )
    limit: ListedLimit = Field(default=20, description="Number of tracks")
    user_id: Id | None = Field(
        default=None,
        description="Id of the user, whose taste decides between similarly good matches, and whose blocked and disliked tracks are "
        "excluded",
    )
    territory: Territory = None
    explicit: Explicit = None
    language: ReasonLanguage = "en"
