"""Types and methods of the recommender's HTTP API.

Written by `python -m clients.generate` from the OpenAPI document; do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

from .transport import Transport


class CanaryStatus(TypedDict):
    """A release that serves a share of the users beside the production release."""

    release: str
    share: float
    """Fraction of the users, 0 to 1"""
    is_in_service: bool


class ChannelExplanation(TypedDict):
    """A recall channel that finds the track."""

    name: str
    rank: int
    """Rank among the candidates of the channel, from 1"""
    reason: str
    """The channel's reason, as a sentence in the requested language; may be empty"""


class CollectionTrack(TypedDict):
    """A track of a playlist or an mlog."""

    track_id: str
    title: str
    artists: list[str]
    duration_ms: int
    """0 if unknown"""
    artist_ids: NotRequired[list[str]]
    """To block an artist, report an event with target_type artist and action block"""
    album_id: NotRequired[str | None]
    """Album; absent if unknown"""
    album: NotRequired[str]
    """Its title; absent if unknown"""
    facets: NotRequired[list[str]]
    """Languages, styles, scenes, emotions and themes of the track"""
    audio_url: NotRequired[str | None]
    """Audio: an https address or a path of this host; absent if unknown"""
    cover_url: NotRequired[str | None]
    """Cover: a path of this host; absent if unknown"""


class DegradedPart(TypedDict):
    """A part of the service that does not work at the moment."""

    part: str
    why: str
    error: str
    since_s: float
    """Seconds since 1970 (UTC) at which it stopped working"""


class EraseResponse(TypedDict):
    """A request to erase data that was accepted; a repeated one is answered without erasing again."""

    user_id: str
    is_erasing: bool
    """Whether stored data is being erased now, which takes minutes; if not, it was erased after an
    earlier request, or an operator does it. In any case no data of the user is read or written from
    now on"""


class ExportResponse(TypedDict):
    """Everything that is stored about a user."""

    user_id: str
    exported_at: str
    """ISO 8601, UTC"""
    stores: dict[str, object]
    """Store → its rows: logs, landed tables, marts, daily lists, private sessions, training files, and
    the features of the online store by view"""
    cut: list[str]
    """Stores with more rows than an export has; ask the operator for all of them"""


class FoundTrack(TypedDict):
    """A playable track that matches a query."""

    track_id: str
    title: str
    artists: list[str]
    duration_ms: int
    """0 if unknown"""
    artist_ids: NotRequired[list[str]]
    """To block an artist, report an event with target_type artist and action block"""
    album_id: NotRequired[str | None]
    """Album; absent if unknown"""
    album: NotRequired[str]
    """Its title; absent if unknown"""
    facets: NotRequired[list[str]]
    """Languages, styles, scenes, emotions and themes of the track"""
    audio_url: NotRequired[str | None]
    """Audio: an https address or a path of this host; absent if unknown"""
    cover_url: NotRequired[str | None]
    """Cover: a path of this host; absent if unknown"""
    score: float
    """How well it matches; comparable within one response only; 0 for an empty query"""
    reason: str
    """Why it matches, as a sentence in the requested language"""


class GraphNode(TypedDict):
    """A node on the way through the music graph from what the user listens to to the track."""

    relation: str
    """How it is connected with the node before; empty for the first one"""
    node: str


class InterestSummary(TypedDict):
    """A set of listened tracks: its name, its most frequent tracks and artists, and its `share` of all
    listens."""

    name: str
    share: float
    titles: list[str]
    artists: list[str]


class InvalidField(TypedDict):
    """A field that violates the schema."""

    pointer: str
    """JSON pointer (RFC 6901) of the field in the body"""
    detail: str


class PrivateSessionResponse(TypedDict):
    """A private session that lasts now. Times in µs since 1970."""

    since_us: int
    until_us: int
    """Latest end; the event `end_private` ends it earlier"""


class Problem(TypedDict):
    """An error (RFC 9457)."""

    type: str
    """`about:blank`: the status says what kind of problem it is; `urn:segue:problem:no-search`: the
    release was built without a search, so the same request fails again"""
    title: str
    """Phrase of the status"""
    status: int
    """HTTP status"""
    detail: str
    """What is wrong, and the remedy"""
    error: str
    """The same as `detail`, for clients of earlier versions"""
    errors: NotRequired[list[InvalidField] | None]
    """The first invalid fields of a body that violates its schema"""


class ProfileEvent(TypedDict):
    """One event of the user: `ended_at` in µs UTC; `played_ratio` 0 if unknown; `session` from 1, the
    oldest."""

    track_id: str
    title: str
    artists: list[str]
    artist_ids: NotRequired[list[str]]
    album_id: NotRequired[str | None]
    album: NotRequired[str]
    duration_ms: NotRequired[int]
    facets: NotRequired[list[str]]
    audio_url: NotRequired[str | None]
    cover_url: NotRequired[str | None]
    behaviour: str
    ended_at: int
    played_ratio: float
    session: int


class RecommendedMlog(TypedDict):
    """One recommended short video."""

    title: str
    score: float
    channels: list[str]
    """`playlists` or `mlogs`; empty for an item recommended for its popularity"""
    reason: str
    """Why the item is recommended, as a sentence in the requested language"""
    tracks: list[CollectionTrack]
    """The first playable tracks"""
    mlog_id: str


class RecommendedPlaylist(TypedDict):
    """One recommended playlist."""

    title: str
    score: float
    channels: list[str]
    """`playlists` or `mlogs`; empty for an item recommended for its popularity"""
    reason: str
    """Why the item is recommended, as a sentence in the requested language"""
    tracks: list[CollectionTrack]
    """The first playable tracks"""
    playlist_id: str


class RecommendedTrack(TypedDict):
    """One recommended track."""

    track_id: str
    title: str
    artists: list[str]
    duration_ms: int
    """0 if unknown"""
    artist_ids: NotRequired[list[str]]
    """To block an artist, report an event with target_type artist and action block"""
    album_id: NotRequired[str | None]
    """Album; absent if unknown"""
    album: NotRequired[str]
    """Its title; absent if unknown"""
    facets: NotRequired[list[str]]
    """Languages, styles, scenes, emotions and themes of the track"""
    audio_url: NotRequired[str | None]
    """Audio: an https address or a path of this host; absent if unknown"""
    cover_url: NotRequired[str | None]
    """Cover: a path of this host; absent if unknown"""
    score: float
    channels: list[str]
    """Recall channels that found the track, the one that ranked it highest first"""
    reason: str
    """Why the track is recommended, as a sentence in the requested language"""
    release: NotRequired[str | None]
    """Release that recommended the track, if it differs from that of the response: in a daily list
    that an earlier release began"""


class RefusedRelease(TypedDict):
    """A release that was not taken into service."""

    release: str
    why: str
    at_s: float
    """Seconds since 1970 (UTC) at which it was rejected"""


class RejectedEvent(TypedDict):
    """A row that violates the data contract."""

    index: int
    """Position of the row in the report, from 0"""
    reason: str


class ReportedEvent(TypedDict):
    """One event: a row of the data contract's `listening_events`. Every column that is not required
    may be null."""

    event_id: NotRequired[str | None]
    """Rows with the same id are one event; default: a hash of the event and its times, which differs
    if a row without times is resent"""
    user_id: str
    """User who acted"""
    sequence_number: NotRequired[int | None]
    """The client's order of events that end at the same time"""
    target_type: Literal["track", "playlist", "album", "artist", "mlog", "interest", "session"]
    """Type of the target"""
    target_id: str
    """Id of the target within its type"""
    occurred_at: NotRequired[str | int | None]
    """Start: ISO 8601 in UTC, or µs since 1970; default: derived from the end"""
    ended_at: NotRequired[str | int | None]
    """End of a play, in the same formats; default: now"""
    action: Literal[
        "impression",
        "play",
        "click",
        "like",
        "collect",
        "share",
        "download",
        "dislike",
        "block",
        "unlike",
        "uncollect",
        "undislike",
        "unblock",
        "exclude",
        "unexclude",
        "reset",
        "unreset",
        "rename",
        "start_private",
        "end_private",
    ]
    """What the user did"""
    played_ms: NotRequired[int | None]
    """Played time in ms; required for plays, invalid otherwise"""
    scene: NotRequired[str | None]
    """Place in the product"""
    context_id: NotRequired[str | None]
    """Where the target came from, typed: playlist:7, album:3"""
    request_id: NotRequired[str | None]
    """Response that showed the target"""
    position: NotRequired[int | None]
    """Position in that response, from 0"""
    propensity: NotRequired[float | None]
    """Probability with which that response showed the target"""
    device: NotRequired[str | None]
    """Kind of device"""


class SearchResults(TypedDict):
    """Matching tracks, best first; the most played first among equally good ones."""

    items: list[FoundTrack]
    unmet: NotRequired[dict[str, str] | None]
    """`words` of the query that were not understood; `facets`: styles, languages and moods of the
    query that too few tracks have → how the response differs; absent if the response is as
    requested"""


class ServiceStatus(TypedDict):
    """Releases in service and degraded parts."""

    is_ready: bool
    degraded: list[DegradedPart]
    release: str | None
    """The production release"""
    experiment: str | None
    """Name of the running experiment"""
    beside: list[CanaryStatus]
    """Canary releases"""
    refused: list[RefusedRelease]


class Trace(TypedDict):
    """How one response was computed."""

    release: str
    discovery: float | None
    """Fraction of new tracks that the response should have, by the request or the release; null for
    requests about tracks"""
    state_from: str
    """Source of the user state: `store`, or if the store failed `memory` (cached) or `nothing`"""
    stage_ms: dict[str, float]
    """Stage of the pipeline, in order → milliseconds"""
    candidates: dict[str, int]
    """Recall channel → number of candidates"""
    left_out: dict[str, str]
    """Recall channel without a part in the response → reason: failed, late, or busy with an earlier
    request"""
    fused: int
    """Distinct candidates of all channels"""
    removed: dict[str, int]
    """Filter → number of candidates removed"""
    ranked: int
    """Candidates that were ranked"""
    listed: int
    """Tracks already in today's list; if they suffice, no channel is called"""
    explored: int
    """Random new tracks in the response"""
    degraded: NotRequired[dict[str, str]]
    """Part that failed for this response → what it lacks"""
    unmet: NotRequired[dict[str, str]]
    """`discovery`, `max_per_artist`, `artist_spacing` or `words` of the title → why the response does
    not meet it"""


class Track(TypedDict):
    """A track of the release."""

    track_id: str
    title: str
    artists: list[str]
    duration_ms: int
    """0 if unknown"""
    artist_ids: NotRequired[list[str]]
    """To block an artist, report an event with target_type artist and action block"""
    album_id: NotRequired[str | None]
    """Album; absent if unknown"""
    album: NotRequired[str]
    """Its title; absent if unknown"""
    facets: NotRequired[list[str]]
    """Languages, styles, scenes, emotions and themes of the track"""
    audio_url: NotRequired[str | None]
    """Audio: an https address or a path of this host; absent if unknown"""
    cover_url: NotRequired[str | None]
    """Cover: a path of this host; absent if unknown"""


class UnknownTrackEvent(TypedDict):
    """An accepted event about a track that the release in service does not have."""

    index: int
    """Position of the row in the report, from 0"""
    track_id: str


class UserIds(TypedDict):
    """Some users of the online store."""

    user_ids: list[str]


class UserProfileResponse(TypedDict):
    """A user as one release represents them."""

    user_id: str
    is_known: bool
    release: str
    is_own_catalog: bool
    """Whether one user has played every track of the catalog, so that it has nothing new for them"""
    events: list[ProfileEvent]
    """The newest events, oldest first; `ended_at` in µs since 1970"""
    interests: list[InterestSummary]
    short_term: InterestSummary | None
    """The latest session"""
    long_term: InterestSummary | None
    """The last 2,000 listened plays"""


class EventProblem(TypedDict):
    """The report of events that were all rejected."""

    accepted: int
    """Rows that are durable and visible to the user's next request"""
    duplicate: int
    """Rows whose event_id was reported before"""
    rejected: list[RejectedEvent]
    unknown_tracks: NotRequired[list[UnknownTrackEvent]]
    """Accepted or duplicate rows about tracks that the release in service does not have: probably
    wrong ids, or tracks that were landed after the release. They influence recommendations when a
    release has the track"""
    private: NotRequired[int]
    """Plays, clicks and impressions of private sessions, which are not recorded anywhere; absent if
    there are none"""
    type: str
    """`about:blank`: the status says what kind of problem it is; `urn:segue:problem:no-search`: the
    release was built without a search, so the same request fails again"""
    title: str
    """Phrase of the status"""
    status: int
    """HTTP status"""
    detail: str
    """What is wrong, and the remedy"""
    error: str
    """The same as `detail`, for clients of earlier versions"""
    errors: NotRequired[list[InvalidField] | None]
    """The first invalid fields of a body that violates its schema"""


class EventReport(TypedDict):
    """What happened to the reported rows."""

    accepted: int
    """Rows that are durable and visible to the user's next request"""
    duplicate: int
    """Rows whose event_id was reported before"""
    rejected: list[RejectedEvent]
    unknown_tracks: NotRequired[list[UnknownTrackEvent]]
    """Accepted or duplicate rows about tracks that the release in service does not have: probably
    wrong ids, or tracks that were landed after the release. They influence recommendations when a
    release has the track"""
    private: NotRequired[int]
    """Plays, clicks and impressions of private sessions, which are not recorded anywhere; absent if
    there are none"""


class ExplanationResponse(TypedDict):
    """Why a track suits a user, computed now."""

    track: Track
    channels: list[ChannelExplanation]
    """Best rank first; empty if no channel finds the track"""
    tasks: dict[str, float]
    """Ranking task → probability that the ranker expects"""
    graph: list[GraphNode]
    """Empty without such a way"""


class LeftOutTarget(TypedDict):
    """What does not count for the taste profile of a user."""

    action: Literal["exclude", "reset"]
    """`exclude`: no play of its tracks counts. `reset`: those until `at` do not"""
    target_type: Literal["album", "playlist", "interest"]
    target_id: str
    at: int
    """Time of the action, µs since 1970"""
    name: str
    """Title, or the name that the user gave an interest; may be empty"""
    track_count: int
    tracks: list[Track]
    """At most four of its tracks"""


class LibraryItem(TypedDict):
    """A target of an action that the user did not take back."""

    target_type: str
    target_id: str
    at: int
    """Time of the action, µs since 1970"""
    name: str
    """Title or name; empty if the release does not know the target"""
    track: Track | None
    """Null for other targets than tracks, and for unknown tracks"""


class LibraryResponse(TypedDict):
    """What a user liked, saved, hid and blocked, the newest first."""

    user_id: str
    liked: list[LibraryItem]
    collected: list[LibraryItem]
    disliked: list[LibraryItem]
    blocked: list[LibraryItem]
    """Artists, tracks and collections"""


class Recommendation(TypedDict):
    """One response, computed by one release."""

    request_id: str
    """To be sent with the events that result from this response"""
    release: str
    arm: NotRequired[str | None]
    """Experiment and arm of the user; absent without an experiment"""
    items: list[RecommendedTrack | RecommendedPlaylist | RecommendedMlog]
    """Playlists in the scene `playlists`, mlogs in `mlog`, tracks in all other scenes"""
    degraded: NotRequired[dict[str, str] | None]
    """Part of the service that failed for this response → what the response lacks; absent if all parts
    work"""
    unmet: NotRequired[dict[str, str] | None]
    """What the candidates did not allow → how the response differs: `discovery` of the request,
    `max_per_artist` and `artist_spacing` of the scene; `words` of the title that were not
    understood; absent if the response is as requested"""
    trace: NotRequired[Trace | None]
    """Only if the request has `"debug": true`"""


class TasteInterest(TypedDict):
    """An interest of a user."""

    interest_id: str
    """Its facet values or artists; events about it have target_type interest and this target_id"""
    name: str
    """Name that the user gave it; empty without one"""
    share: float
    """Fraction of the listens that count, 0 while the interest is paused"""
    is_paused: bool
    """Plays of its tracks do not count, and they are not recommended"""
    tracks: list[Track]
    """At most four, the most played ones first"""


class TasteResponse(TypedDict):
    """What shapes the recommendations of a user, and what the user left out."""

    user_id: str
    interests: list[TasteInterest]
    """The largest first; paused ones last"""
    left_out: list[LeftOutTarget]
    """The newest first; paused interests are in `interests`"""
    private_session: PrivateSessionResponse | None


class SegueClient(Transport):
    """The recommender. Optional parameters that are None are not sent; the service has defaults for them.

    Every method raises `SegueError` if the service responds with an error.
    """

    def recommend(
        self,
        *,
        user_id: str | None = None,
        scene: Literal["daily", "private_fm", "playlists", "mlog"] | None = None,
        limit: int | None = None,
        discovery: float | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
        language: Literal["en", "zh"] | None = None,
        debug: bool | None = None,
        seeds: Sequence[str] | None = None,
        title: str | None = None,
        exclude: Sequence[str] | None = None,
    ) -> Recommendation:
        """Tracks, playlists or short videos for a user, best first.

        Every item names the recall channels that found it and the reason. One response comes from
        one release. A channel that fails or exceeds the deadline is left out; if none is left,
        popular tracks are returned.

        `discovery` is the fraction of tracks in the response that are new to the user (not among
        the tracks that they have played), from 0 (none) to 1 (all). New tracks are spread evenly:
        with 0.25 every fourth track is new. The number of new tracks is rounded down. Random tracks
        with few plays may take some of the last places (about one in 30; none with 0). If there are
        not enough known or new tracks, others fill the list and `unmet` says so.

        The list of `daily` stays the same within the UTC day, grows if more tracks are requested,
        and has no track of the lists of the last 7 days; if `discovery` is below one half, only
        those of them that the user has never played are excluded. A blocked or disliked track
        leaves the list immediately. At most 4 tracks that the user has played and 3 new ones are by
        one artist, unless there are not enough artists, which `unmet` says. Until a user has played
        3 tracks, tracks that they have only liked are not returned. `debug` adds a `trace` of the
        computation.

        The scene `playlists` returns playlists, `mlog` short videos (mlogs), each with its id, a
        reason and some of its playable tracks; a click on one, reported as an event with
        `target_type` playlist or mlog, influences the next response. These scenes have no
        `discovery`. 404: the release has no items of the scene's type.

        With `seeds` or `title` the response continues a playlist: tracks that fit the seeds and the
        words of the title, without the seeds themselves. It depends on the user only by their
        blocked and disliked tracks and artists; `scene` and `discovery` do not apply. 404: the
        release does not have some of the seeds. `exclude` works with every scene of tracks; the
        list of `daily` is not changed by it.

        Args:
            user_id: Id of the user; may be omitted with `seeds` or `title`
            scene: Place in the product: daily, private_fm, playlists, mlog
            limit: Number of items, at most 100 in daily, 30 in private_fm, 50 in playlists, 50 in
                mlog, and 100 with `seeds` or `title`; default: that of the scene
            discovery: Fraction of tracks in the response that the user has not played, rounded down to
                whole tracks; default: the release's share for the scene
            territory: Country of the listener, ISO 3166-1 alpha-2; default: that of the service
                (`SEGUE_TERRITORY`). Without either, only tracks that are available everywhere are
                returned
            explicit: Whether tracks with an advisory label are allowed; default: `SEGUE_EXPLICIT` of the
                service (yes)
            language: Language of the reasons: English or Chinese
            debug: Whether the response has a `trace`
            seeds: Tracks of a playlist to continue, in its order
            title: Title of the playlist to continue, in any language
            exclude: Tracks that must not be in the response; may be unknown ones
        """
        answer: Recommendation = self.post(
            "/recommend",
            {
                "user_id": user_id,
                "scene": scene,
                "limit": limit,
                "discovery": discovery,
                "territory": territory,
                "explicit": explicit,
                "language": language,
                "debug": debug,
                "seeds": seeds,
                "title": title,
                "exclude": exclude,
            },
        )
        return answer

    def similar(
        self,
        *,
        track_id: str,
        limit: int | None = None,
        user_id: str | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
        language: Literal["en", "zh"] | None = None,
        debug: bool | None = None,
    ) -> Recommendation:
        """Tracks similar to a given one, most similar first.

        From the sources of playlist continuation: channels with item similarity (item vectors, the
        music graph), item transitions, content and shared playlists. Every item names the sources
        that found it. The filters are those of `/recommend`, and every version of the given
        recording is excluded. If few tracks are similar, the response is short: it is not filled
        with popular tracks.

        Args:
            track_id: Track to compare with
            limit: Number of tracks; default: 20
            user_id: Id of the user, whose blocked and disliked tracks are excluded
            territory: Country of the listener, ISO 3166-1 alpha-2; default: that of the service
                (`SEGUE_TERRITORY`). Without either, only tracks that are available everywhere are
                returned
            explicit: Whether tracks with an advisory label are allowed; default: `SEGUE_EXPLICIT` of the
                service (yes)
            language: Language of the reasons: English or Chinese
            debug: Whether the response has a `trace`
        """
        answer: Recommendation = self.post(
            "/similar",
            {
                "track_id": track_id,
                "limit": limit,
                "user_id": user_id,
                "territory": territory,
                "explicit": explicit,
                "language": language,
                "debug": debug,
            },
        )
        return answer

    def path(
        self,
        *,
        from_: str,
        to: str,
        length: int | None = None,
        user_id: str | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
        language: Literal["en", "zh"] | None = None,
        debug: bool | None = None,
    ) -> Recommendation:
        """A smooth sequence of tracks from one track to another.

        The first and the last track are the given ones, no track or recording occurs twice, and
        neighbors are as similar as possible: the path minimizes the sum of the fourth powers of the
        angles between the vectors of neighbors, with a penalty for tracks of one artist close to
        each other. The score of a track is the cosine between its vector and that of the track
        before. The filters are those of `/recommend`. If few tracks may be played, the path is
        shorter.

        Args:
            from_: First track of the path
            to: Last track of the path
            length: Number of tracks with both ends; default: 10
            user_id: Id of the user, whose blocked and disliked tracks are excluded
            territory: Country of the listener, ISO 3166-1 alpha-2; default: that of the service
                (`SEGUE_TERRITORY`). Without either, only tracks that are available everywhere are
                returned
            explicit: Whether tracks with an advisory label are allowed; default: `SEGUE_EXPLICIT` of the
                service (yes)
            language: Language of the reasons: English or Chinese
            debug: Whether the response has a `trace`
        """
        answer: Recommendation = self.post(
            "/path",
            {
                "from": from_,
                "to": to,
                "length": length,
                "user_id": user_id,
                "territory": territory,
                "explicit": explicit,
                "language": language,
                "debug": debug,
            },
        )
        return answer

    def report_events(
        self,
        *,
        events: Sequence[ReportedEvent],
    ) -> EventReport:
        """Report events of users.

        Each row is a `listening_events` row of the data contract. Accepted rows are durable when
        the response arrives and visible to the user's next request. A row with a known `event_id`
        is a duplicate and has no effect; a row that violates the contract is rejected with the
        reason, and the other rows are accepted. Missing times default to now. 422: every row is
        rejected; the problem has the fields of the report.

        Args:
            events: Rows of the data contract's `listening_events`
        """
        answer: EventReport = self.post(
            "/events",
            {
                "events": events,
            },
        )
        return answer

    def listener(
        self,
        *,
        user_id: str,
    ) -> UserProfileResponse:
        """Events and interests of a user.

        The newest events with their sessions; the interests that `multi_interest` finds in the
        listened tracks, each named by its distinctive facets; and summaries of the latest session
        and of the last 2,000 plays.

        Args:
            user_id: Id of the user
        """
        answer: UserProfileResponse = self.post(
            "/listener",
            {
                "user_id": user_id,
            },
        )
        return answer

    def listeners(
        self,
        *,
        limit: int | None = None,
    ) -> UserIds:
        """Ids of some users, in order, whose features were materialized.

        Ids of some users, in order, whose features were materialized.

        Args:
            limit: Number of ids
        """
        answer: UserIds = self.post(
            "/listeners",
            {
                "limit": limit,
            },
        )
        return answer

    def library(
        self,
        *,
        user_id: str,
    ) -> LibraryResponse:
        """What a user liked, saved, marked as not interesting and blocked.

        The newest of each action and its reversal counts: a like followed by an `unlike` is not
        listed.

        Args:
            user_id: Id of the user
        """
        answer: LibraryResponse = self.post(
            "/library",
            {
                "user_id": user_id,
            },
        )
        return answer

    def taste(
        self,
        *,
        user_id: str,
    ) -> TasteResponse:
        """What shapes the recommendations of a user, for the user to control.

        The interests, and what the user left out. Events change it, and the next response reflects
        them: `exclude` on an album, a playlist or an interest (to pause it) and `unexclude`;
        `reset` on an interest (plays so far count no more) and `unreset`; `rename` on an interest,
        whose `target_id` is the id, `=` and the new name. From `start_private` to `end_private` on
        a session (at most 12 hours) plays, clicks and impressions are not recorded; explicit
        feedback is.

        Args:
            user_id: Id of the user
        """
        answer: TasteResponse = self.post(
            "/taste",
            {
                "user_id": user_id,
            },
        )
        return answer

    def export_data(
        self,
        *,
        user_id: str,
    ) -> ExportResponse:
        """Everything that is stored about a user.

        From the logs, landed tables, marts, the online store and every other store that an erasure
        covers, except copies of logged events in the broker. Plays of private sessions are not
        among it, because they are not stored.

        Args:
            user_id: Id of the user
        """
        answer: ExportResponse = self.post(
            "/export",
            {
                "user_id": user_id,
            },
        )
        return answer

    def erase_data(
        self,
        *,
        user_id: str,
        confirm: str,
    ) -> EraseResponse:
        """Erase all data of a user, for good.

        From now on the user's events are rejected and the user is answered like an unknown one;
        what is stored is erased within minutes. A request after that is answered at once, with
        `is_erasing: false`. Only for the user: with a user token, or on a service without keys. 403
        with an API key: it must not erase other users; an operator runs `python -m privacy.erase`.

        Args:
            user_id: Id of the user
            confirm: The same id again
        """
        answer: EraseResponse = self.post(
            "/erase",
            {
                "user_id": user_id,
                "confirm": confirm,
            },
        )
        return answer

    def explain(
        self,
        *,
        user_id: str,
        track_id: str,
        scene: str | None = None,
        language: Literal["en", "zh"] | None = None,
    ) -> ExplanationResponse:
        """Why a track suits a user.

        The channels that find the track at the moment with their ranks and reasons, the
        probabilities that the ranker expects, and the way through the music graph. Nothing is
        recorded as shown.

        Args:
            user_id: Id of the user
            track_id: Track to explain
            scene: Scene in which the track was shown. Scenes that /recommend does not have count as
                daily
            language: Language of the reasons: English or Chinese
        """
        answer: ExplanationResponse = self.post(
            "/explain",
            {
                "user_id": user_id,
                "track_id": track_id,
                "scene": scene,
                "language": language,
            },
        )
        return answer

    def search(
        self,
        *,
        query: str | None = None,
        words: str | None = None,
        limit: int | None = None,
        user_id: str | None = None,
        territory: str | None = None,
        explicit: bool | None = None,
        language: Literal["en", "zh"] | None = None,
    ) -> SearchResults:
        """Search tracks by names or by what they are like, best first.

        "something calm for the night", "放点安静的歌", "sad cantopop from 2015", or a title, artist or
        album with typing errors. Every track has the reason of its match. The filters are those of
        `/recommend`. An empty query returns the most played tracks.

        Args:
            query: Names, moods, scenes, styles, languages and years in words of English or Chinese;
                empty: the most played tracks
            words: Former name of `query`, used if that is empty
            limit: Number of tracks
            user_id: Id of the user, whose taste decides between similarly good matches, and whose
                blocked and disliked tracks are excluded
            territory: Country of the listener, ISO 3166-1 alpha-2; default: that of the service
                (`SEGUE_TERRITORY`). Without either, only tracks that are available everywhere are
                returned
            explicit: Whether tracks with an advisory label are allowed; default: `SEGUE_EXPLICIT` of the
                service (yes)
            language: Language of the reasons: English or Chinese
        """
        answer: SearchResults = self.post(
            "/search",
            {
                "query": query,
                "words": words,
                "limit": limit,
                "user_id": user_id,
                "territory": territory,
                "explicit": explicit,
                "language": language,
            },
        )
        return answer

    def preview(
        self,
        *,
        track_id: str,
    ) -> bytes:
        """Audio of a track.

        The file that the catalog names, or a preview of 10 s if the track is simulated. One byte
        range per request is supported. Responses name the path as `audio_url`.

        Args:
            track_id: See the schema
        """
        return self.get_bytes(f"/media/preview/{self.quote(track_id)}")

    def cover(
        self,
        *,
        track_id: str,
    ) -> bytes:
        """Cover of a track.

        The file that the catalog names, or a drawing if the track is simulated. Responses name the
        path as `cover_url`.

        Args:
            track_id: See the schema
        """
        return self.get_bytes(f"/media/cover/{self.quote(track_id)}")

    def livez(
        self,
    ) -> str:
        """Liveness: whether events can be logged.

        503: only a restart helps.
        """
        return self.get_text("/livez")

    def readyz(
        self,
    ) -> str:
        """Readiness: whether a release is in service and events are accepted.

        503 until the first release is loaded and warm, and while another recommender writes the
        event log of the home. Later releases are swapped in without interruption.
        """
        return self.get_text("/readyz")

    def status(
        self,
    ) -> ServiceStatus:
        """Releases in service, rejected releases and degraded parts.

        The production release, the canary releases with their share of the users, which releases
        were rejected, with the reason (the previous release stays in service instead), and the
        parts of the service that do not work at the moment (`degraded`).
        """
        answer: ServiceStatus = self.get_json("/status")
        return answer

    def metrics(
        self,
    ) -> str:
        """Metrics for Prometheus.

        Text format; the service's own metrics begin with `segue_`.
        """
        return self.get_text("/metrics")
