"""What the API takes and gives, as pydantic models; their descriptions stand in the API's own page.

Knows nothing about how an answer comes about.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from serving.http import openapi_examples
from serving.pipeline.response import RecommendationResponse
from serving.pipeline.search import SearchResult
from serving.pipeline.user_profile import InterestSummary, ProfileEvent
from serving.reasons.messages import Language, render_reason

Territory = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z]{2}$",
        description="Country of the listener, ISO 3166-1 alpha-2; by default the service's (`SEGUE_TERRITORY`). Where nobody "
        "knows it, only tracks come that may be served everywhere",
    ),
]
Explicit = Annotated[
    bool | None,
    Field(
        description="Whether tracks with an advisory label may come; by default as the service has it (`SEGUE_EXPLICIT`, yes)"
    ),
]
ReasonLanguage = Annotated[Language, Field(description="Language of the reasons: English or Chinese")]


class RecommendedTrack(BaseModel):
    """One track and why it is there."""

    track_id: str
    title: str
    artists: list[str]
    duration_ms: int = Field(description="0 where nobody knows it")
    artist_ids: list[str] = Field(description="To block one: an event with target_type artist")
    score: float
    channels: list[str] = Field(description="Recall channels that found it, the one that ranked it best first")
    reason: str
    release: str | None = Field(
        default=None,
        exclude_if=lambda release: release is None,
        description="The release that gave it, where that is not the answer's: in a daily list that another one began",
    )
    audio_url: str | None = Field(
        default=None,
        exclude_if=lambda url: url is None,
        description="Where it can be heard: an https address, or a path of this host; left out where nobody knows",
    )


class CollectionTrack(BaseModel):
    """A track that a playlist or an mlog holds."""

    model_config = ConfigDict(from_attributes=True)

    track_id: str
    title: str
    artists: list[str]
    duration_ms: int = Field(description="0 where nobody knows it")
    audio_url: str | None = Field(
        default=None,
        exclude_if=lambda url: url is None,
        description="Where it can be heard: an https address, or a path of this host; left out where nobody knows",
    )


class RecommendedCollection(BaseModel):
    """What playlists and mlogs have in common."""

    title: str
    score: float
    channels: list[str] = Field(description="`playlists` or `mlogs`; nothing where it is there for being opened most")
    reason: str
    tracks: list[CollectionTrack] = Field(description="The first of its tracks that may be played")


class RecommendedPlaylist(RecommendedCollection):
    """One playlist and why it is there."""

    model_config = ConfigDict(json_schema_extra={"example": openapi_examples.PLAYLIST})

    playlist_id: str


class RecommendedMlog(RecommendedCollection):
    """One short video and why it is there."""

    model_config = ConfigDict(json_schema_extra={"example": openapi_examples.MLOG})

    mlog_id: str


class Trace(BaseModel):
    """How one answer came about."""

    release: str
    discovery: float | None = Field(
        description="Share of discoveries that was asked of fusion, by the request or the release; null for similar tracks"
    )
    state_from: str = Field(
        description="What is known of the user is from the store; or from memory, or from nothing, where it did not answer"
    )
    stage_ms: dict[str, float] = Field(description="Stage of the path, in order, and how many milliseconds it took")
    candidates: dict[str, int] = Field(description="Recall channel and how many tracks it found")
    left_out: dict[str, str] = Field(
        description="Recall channel without a part in the answer and why: failed, late, or busy with an earlier request"
    )
    fused: int = Field(description="Distinct tracks of all channels")
    removed: dict[str, int] = Field(description="Filter and how many tracks it removed")
    ranked: int = Field(description="Tracks that were put in order")
    listed: int = Field(description="Tracks that the list of the day had already; with enough of them nobody is asked")
    explored: int = Field(description="New tracks that chance put into the answer")


class Recommendation(BaseModel):
    """One answer, all of it from one release."""

    request_id: str = Field(description="Send it with the events that this answer leads to")
    release: str
    arm: str | None = Field(
        default=None,
        exclude_if=lambda arm: not arm,
        description="Experiment and arm of the user; not there without an experiment",
    )
    items: list[RecommendedTrack | RecommendedPlaylist | RecommendedMlog] = Field(
        description="Playlists in the scene `playlists`, mlogs in `mlog`, tracks elsewhere"
    )
    trace: Trace | None = Field(
        default=None, exclude_if=lambda trace: trace is None, description='Only where the request says `"debug": true`'
    )


class SearchResults(BaseModel):
    """Tracks that hold the words, the most played first."""

    items: list[SearchResult]


class UserIds(BaseModel):
    """Some users that the online store knows."""

    user_ids: list[str]


class UserProfileResponse(BaseModel):
    """A listener as one release sees them."""

    user_id: str
    is_known: bool
    release: str
    events: list[ProfileEvent] = Field(description="The newest ones, oldest first; `ended_at` in µs since 1970")
    interests: list[InterestSummary]
    short_term: InterestSummary | None = Field(description="The session that was last")
    long_term: InterestSummary | None = Field(description="The last 2,000 plays that were listened to")


class RejectedEvent(BaseModel):
    """A row that is no event of the contract."""

    index: int
    reason: str


class EventReport(BaseModel):
    """What became of the reported rows."""

    accepted: int = Field(description="On the disk, and in the user's next recommendation")
    duplicate: int = Field(description="Reported before, by event_id")
    rejected: list[RejectedEvent]


def render_recommendation(answer: RecommendationResponse, language: Language, is_debugged: bool) -> Recommendation:
    """An answer as it is sent: with reasons in a language, and with its trace or without."""
    # Shallow: what is copied deeply on its way into a model is copied twice.
    items = [
        vars(item)
        | {
            "reason": render_reason(item.reason, language),
            "release": None if item.release == answer.release else item.release,
        }
        for item in answer.items
    ]
    trace = vars(answer.trace) if is_debugged else None
    return Recommendation(**vars(answer) | {"items": items, "trace": trace})
