"""Pydantic models of the HTTP API's responses; their field descriptions appear in the OpenAPI document.

Independent of how a response is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import not_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

PREVIEW, COVER = "preview", "cover"
"""Kinds of media in the paths below `/media/`."""
EntryKind = Literal["track", "artist", "album", "playlist"]
"""Entries of the catalog with paths of their own, as `/playlists/{playlist_id}`."""


class Track(BaseModel):
    """A track of the release."""

    model_config = ConfigDict(from_attributes=True)

    track_id: str
    title: str
    artists: list[str]
    duration_ms: int = Field(description="0 if unknown")
    artist_ids: list[str] = Field(
        default=[], description="To block an artist, report an event with target_type artist and action block"
    )
    album_id: str | None = Field(default=None, exclude_if=not_, description="Album; absent if unknown")
    album: str = Field(default="", exclude_if=not_, description="Its title; absent if unknown")
    facets: list[str] = Field(default=[], description="Languages, styles, scenes, emotions and themes of the track")
    audio_url: str | None = Field(
        default=None,
        exclude_if=not_,
        description="Audio: an https URL, or a URL relative to the root of the service (`/`); absent if unknown",
    )
    cover_url: str | None = Field(
        default=None,
        exclude_if=not_,
        description="Cover: a URL relative to the root of the service (`/`); absent if unknown",
    )


class CatalogEntry(BaseModel):
    """An artist, an album or a playlist of the release."""

    kind: EntryKind
    id: str
    title: str = Field(description="Title, or name of an artist; empty if unknown")
    track_count: int = Field(description="Number of tracks that may be played")
    tracks: list[Track] = Field(
        description="Playable tracks, at most 500: a playlist in its order, others by the number of plays"
    )


class RecommendedTrack(Track):
    """One recommended track."""

    score: float
    channels: list[str] = Field(
        description="Recall channels that found the track, the one that ranked it highest first"
    )
    reason: str = Field(description="Why the track is recommended, as a sentence in the requested language")
    release: str | None = Field(
        default=None,
        exclude_if=not_,
        description="Release that recommended the track, if it is another one than the response names: in a daily list that an "
        "earlier release began",
    )


class RecommendedCollection(BaseModel):
    """Common fields of recommended playlists and mlogs."""

    title: str
    score: float
    channels: list[str] = Field(description="`playlists` or `mlogs`; empty for an item recommended for its popularity")
    reason: str = Field(description="Why the item is recommended, as a sentence in the requested language")
    track_count: int = Field(description="Number of playable tracks")
    tracks: list[Track] = Field(description="The first playable tracks; `GET /playlists/{playlist_id}` has the others")


class RecommendedPlaylist(RecommendedCollection):
    """One recommended playlist."""

    playlist_id: str


class RecommendedMlog(RecommendedCollection):
    """One recommended short video."""

    mlog_id: str


@dataclass
class Trace:
    """How one response was computed."""

    __pydantic_config__ = ConfigDict(json_schema_serialization_defaults_required=True)

    release: str
    discovery: Annotated[
        float | None,
        Field(
            description="Fraction of new tracks that the response should have, by the request or the release; null for "
            "requests about tracks"
        ),
    ] = None
    state_from: Annotated[
        str,
        Field(description="Source of the user state: `store`, or if the store failed `memory` (cached) or `nothing`"),
    ] = ""
    stage_ms: Annotated[dict[str, float], Field(description="Stage of the pipeline, in order → milliseconds")] = field(
        default_factory=dict
    )
    candidates: Annotated[dict[str, int], Field(description="Recall channel → number of candidates")] = field(
        default_factory=dict
    )
    left_out: Annotated[
        dict[str, str],
        Field(description="Recall channel without a part in the response → reason: failed or late"),
    ] = field(default_factory=dict)
    fused: Annotated[int, Field(description="Distinct candidates of all channels")] = 0
    removed: Annotated[dict[str, int], Field(description="Filter → number of candidates removed")] = field(
        default_factory=dict
    )
    ranked: Annotated[int, Field(description="Candidates that were ranked")] = 0
    listed: Annotated[
        int, Field(description="Tracks already in today's list; if they suffice, no channel is called")
    ] = 0
    explored: Annotated[int, Field(description="Random new tracks in the response")] = 0
    degraded: Annotated[dict[str, str], Field(description="Failed part → its effect on this response")] = field(
        default_factory=dict
    )
    unmet: Annotated[
        dict[str, str],
        Field(
            description="`discovery`, `max_per_artist`, `artist_spacing` or `words` of the title → why the response does not meet it"
        ),
    ] = field(default_factory=dict)


class Recommendation(BaseModel):
    """One response, computed by one release."""

    request_id: str = Field(description="To be sent with the events that result from this response")
    release: str
    arm: str | None = Field(
        default=None,
        exclude_if=not_,
        description="Experiment and arm of the user; absent without an experiment",
    )
    is_known: bool | None = Field(
        default=None,
        exclude_if=lambda is_known: is_known is None,
        description="Whether anything is known of the user; absent for a request without a user",
    )
    items: list[RecommendedTrack | RecommendedPlaylist | RecommendedMlog] = Field(
        description="Playlists in the scene `playlists`, mlogs in `mlog`, tracks in all other scenes"
    )
    degraded: dict[str, str] | None = Field(
        default=None,
        exclude_if=not_,
        description="Failed part of the service → its effect on the response; absent if all parts work",
    )
    unmet: dict[str, str] | None = Field(
        default=None,
        exclude_if=not_,
        description="Unmet wish → difference of the response: `discovery` of the request, "
        "`max_per_artist` and `artist_spacing` of the scene; `words` of the title that were not understood; absent if the "
        "response is as requested",
    )
    trace: Trace | None = Field(default=None, exclude_if=not_, description='Only if the request has `"debug": true`')


class FoundTrack(Track):
    """A playable track that matches a query."""

    score: float = Field(description="Quality of the match; comparable within one response only; 0 for an empty query")
    reason: str = Field(description="Why it matches, as a sentence in the requested language")


class UnderstoodPart(BaseModel):
    """A part of a query that decides which tracks are found."""

    kind: Literal["name", "facet", "period", "words"] = Field(
        description="The name of a track, artist or album; values of facets; a time of release; or words of names and lyrics"
    )
    text: str = Field(description="The name, or the words of the query, normalized")
    values: list[str] = Field(default=[], description="The facet values, of which a track has at least one")
    is_excluded: bool = Field(default=False, description="Tracks with it are left out")


class FoundArtist(BaseModel):
    """An artist whose name matches a query."""

    artist_id: str
    name: str
    track_count: int


class FoundAlbum(BaseModel):
    """An album whose title matches a query."""

    album_id: str
    title: str
    artists: list[str]


class FoundPlaylist(BaseModel):
    """A playlist whose title matches a query."""

    playlist_id: str
    title: str


class SearchResults(BaseModel):
    """Matching tracks, best first; the most played first among equally good ones. At most 15 % are by one artist, unless
    the query names the artist or the album.
    """

    items: list[FoundTrack]
    understood: list[UnderstoodPart] = []
    artists: list[FoundArtist] = Field(default=[], description="At most 6 whose name matches, as albums and playlists")
    albums: list[FoundAlbum] = []
    playlists: list[FoundPlaylist] = []
    unmet: dict[str, str] | None = Field(
        default=None,
        exclude_if=not_,
        description="`words` of the query that were not understood; `period`: times of release of no track; `facets`: styles, "
        "languages and moods of the query that too few tracks have; `max_per_artist` → how the response differs, as a sentence "
        "in the requested language; absent if the response is as requested",
    )


class UserIds(BaseModel):
    """Some users of the online store."""

    user_ids: list[str]


class ProfileEvent(Track):
    """One event of the user: `ended_at` in µs UTC; `played_ratio` 0 if unknown; `session` from 1, the oldest."""

    behavior: str
    ended_at: int
    played_ratio: float
    session: int

    @computed_field(deprecated=True)  # type: ignore[prop-decorator]
    @property
    def behaviour(self) -> str:
        """`behavior`, until the next version."""
        return self.behavior


@dataclass(frozen=True)
class InterestSummary:
    """A set of listened tracks: its name, its most frequent tracks and artists, and its `share` of all listens."""

    name: str
    share: float
    titles: list[str]
    artists: list[str]


class UserProfileResponse(BaseModel):
    """A user as one release represents them."""

    user_id: str
    is_known: bool
    release: str
    is_own_catalog: bool = Field(
        description="Whether one user has played every track of the catalog, so that it has nothing new for them"
    )
    events: list[ProfileEvent] = Field(description="The newest events, oldest first; `ended_at` in µs since 1970")
    interests: list[InterestSummary]
    short_term: InterestSummary | None = Field(description="The latest session")
    long_term: InterestSummary | None = Field(description="The last 2,000 listened plays")


class LibraryItem(BaseModel):
    """A target of an action that the user did not take back."""

    target_type: str
    target_id: str
    at: int = Field(description="Time of the action, µs since 1970")
    name: str = Field(description="Title or name; empty if the release does not know the target")
    track: Track | None = Field(description="Null for other targets than tracks, and for unknown tracks")


class LibraryResponse(BaseModel):
    """Likes, saved songs, dislikes and blocks of a user, the newest first."""

    user_id: str
    liked: list[LibraryItem]
    collected: list[LibraryItem]
    disliked: list[LibraryItem]
    blocked: list[LibraryItem] = Field(description="Artists, tracks and collections")


class TasteInterest(BaseModel):
    """An interest of a user."""

    interest_id: str = Field(
        description="Its facet values or artists; events about it have target_type interest and this target_id"
    )
    name: str = Field(description="Name that the user gave it; empty without one")
    share: float = Field(description="Fraction of the listens that count, 0 while the interest is paused")
    is_paused: bool = Field(description="Plays of its tracks do not count, and they are not recommended")
    tracks: list[Track] = Field(description="At most four, the most played ones first")


class LeftOutTarget(BaseModel):
    """An exclusion from the taste profile of a user."""

    action: Literal["exclude", "reset"] = Field(
        description="`exclude`: no play of its tracks counts. `reset`: plays until `at` do not count"
    )
    target_type: Literal["album", "playlist", "interest"]
    target_id: str
    at: int = Field(description="Time of the action, µs since 1970")
    name: str = Field(description="Title, or the name that the user gave an interest; may be empty")
    track_count: int
    tracks: list[Track] = Field(description="At most four of its tracks")


class PrivateSessionResponse(BaseModel):
    """A private session that lasts now. Times in µs since 1970."""

    model_config = ConfigDict(from_attributes=True)

    since_us: int
    until_us: int = Field(description="Latest end; the event `end_private` ends it earlier")


class TasteResponse(BaseModel):
    """Taste profile of a user: interests and exclusions."""

    user_id: str
    interests: list[TasteInterest] = Field(description="The largest first; paused ones last")
    left_out: list[LeftOutTarget] = Field(description="The newest first; paused interests are in `interests`")
    private_session: PrivateSessionResponse | None


class ExportResponse(BaseModel):
    """All stored data of a user."""

    user_id: str
    exported_at: str = Field(description="ISO 8601, UTC")
    stores: dict[str, Any] = Field(
        description="Store → its rows: logs, landed tables, marts, daily lists, private sessions, training files, and the "
        "features of the online store by view"
    )
    cut: list[str] = Field(description="Stores with more rows than an export has; ask the operator for all of them")


class EraseResponse(BaseModel):
    """A request to erase data that was accepted; a repeated one is answered without erasing again."""

    user_id: str
    is_erasing: bool = Field(
        description="Whether stored data is being erased now, which takes minutes; if not, it was erased after an earlier "
        "request, or an operator does it. In any case no data of the user is read or written from now on"
    )


class ChannelExplanation(BaseModel):
    """A recall channel that finds the track."""

    name: str
    rank: int = Field(description="Rank among the candidates of the channel, from 1")
    reason: str = Field(description="The channel's reason, as a sentence in the requested language; may be empty")


class GraphNode(BaseModel):
    """A node on the path through the music graph from the user's tracks to the given one."""

    relation: str = Field(description="Relation to the previous node; empty for the first one")
    node: str


class ExplanationResponse(BaseModel):
    """Why a track suits a user, computed now."""

    track: Track
    channels: list[ChannelExplanation] = Field(description="Best rank first; empty if no channel finds the track")
    tasks: dict[str, float] = Field(description="Ranking task → predicted probability")
    graph: list[GraphNode] = Field(description="Empty without such a path")


class RejectedEvent(BaseModel):
    """A row that violates the data contract."""

    index: int = Field(description="Position of the row in the report, from 0")
    reason: str


class UnknownTrackEvent(BaseModel):
    """An accepted event about a track that the release in service does not have."""

    index: int = Field(description="Position of the row in the report, from 0")
    track_id: str


class EventReport(BaseModel):
    """Result of a report of events."""

    accepted: int = Field(description="Rows that are durable and visible to the user's next request")
    duplicate: int = Field(description="Rows whose event_id was reported before")
    rejected: list[RejectedEvent]
    unknown_tracks: list[UnknownTrackEvent] = Field(
        default=[],
        description="Accepted or duplicate rows about tracks that the release in service does not have: probably wrong ids, or "
        "tracks that were landed after the release. They influence recommendations when a release has the track",
    )
    private: int = Field(
        default=0,
        exclude_if=not_,
        description="Plays, clicks and impressions of private sessions, which are not recorded anywhere; absent if there are none",
    )


class InvalidField(BaseModel):
    """A field that violates the schema."""

    pointer: str = Field(description="JSON pointer (RFC 6901) of the field in the body")
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="`about:blank`: the status names the kind of problem")
    title: str = Field(description="Phrase of the status")
    status: int = Field(description="HTTP status")
    detail: str = Field(description="Error and remedy")
    code: str = Field(
        description="Kind of the problem, for programs: `invalid_request`, `unknown_id`, `no_collections`, `no_item_vectors`, "
        "`not_ready`, `events_rejected`, or the name of the status, such as `not_found`"
    )
    request_id: str = Field(
        default="",
        exclude_if=not_,
        description="Id of the request in the log of the service; absent if the request was rejected before it had one",
    )
    error: str = Field(deprecated=True, description="The same as `detail`, until the next version")
    errors: list[InvalidField] | None = Field(
        default=None,
        exclude_if=not_,
        description="Every invalid field of the body, at most 100",
    )


class EventProblem(Problem, EventReport):
    """The report of events that were all rejected."""


class CanaryStatus(BaseModel):
    """A release that serves a share of the users beside the production release."""

    release: str
    share: float = Field(description="Fraction of the users, 0 to 1")
    is_in_service: bool


class DegradedPart(BaseModel):
    """A part of the service that does not work at the moment."""

    part: str
    why: str  # what users and operators notice
    error: str  # technical cause
    since_s: float = Field(description="Seconds since 1970 (UTC) at which it stopped working")


class RejectedRelease(BaseModel):
    """A release that was not taken into service."""

    release: str
    why: str
    at_s: float = Field(description="Seconds since 1970 (UTC) at which it was rejected")


class ServiceStatus(BaseModel):
    """Releases in service and degraded parts."""

    is_ready: bool
    degraded: list[DegradedPart]
    release: str | None = Field(description="The production release")
    experiment: str | None = Field(description="Name of the running experiment")
    canaries: list[CanaryStatus] = Field(description="Canary releases")
    rejected: list[RejectedRelease]
