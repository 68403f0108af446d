"""Response to a request: items with source channels and reasons, and the trace of the request through the pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from serving.observability.metrics import Metrics
from serving.pipeline.daily_lists import ListedTrack
from serving.pipeline.request import Request
from serving.pipeline.stages.fuse import RequestCandidates
from serving.pipeline.stages.recall import Recall, RecallResult
from serving.pipeline.stages.user_state_cache import STATE_FROM_CACHE, STATE_UNAVAILABLE
from serving.releases.served_release import ServedRelease
from serving.releases.track_details import TrackDetails, detail_fields
from training.data.user_batch import UserBatch
from training.recall.continuation.source import TITLE_SOURCES
from training.recall.reason import Reason, track_phrase

MOST_PLAYED = Reason("most_played")
DEGRADED_STATES = {
    STATE_FROM_CACHE: "the online store failed; the state of the user is from an earlier request",
    STATE_UNAVAILABLE: "the online store failed; the user is answered like an unknown one",
}
"""Source of the user state → what the response lacks."""
RECALL_FAILED = "every recall channel failed or was late; the response has popular items only, or none"


@dataclass(frozen=True, kw_only=True)
class TrackItem(TrackDetails):
    """One recommended track."""

    score: float
    channels: list[str]  # channels that found the track, the one that ranked it highest first
    reason: Reason | None  # None if no channel could give one
    propensity: float = 1.0  # probability of an explored track, otherwise 1
    is_exploration: bool = False
    release: str = ""  # release that chose the track

    @property
    def target(self) -> tuple[str, str]:
        """Target type and id, as in events."""
        return "track", self.track_id


@dataclass(frozen=True, kw_only=True)
class CollectionItem:
    """A recommended playlist or mlog, with its first playable tracks."""

    title: str
    score: float
    channels: list[str]
    reason: Reason | None
    tracks: list[TrackDetails]
    propensity: float = 1.0
    is_exploration: bool = False
    release: str = ""


@dataclass(frozen=True, kw_only=True)
class PlaylistItem(CollectionItem):
    """A recommended playlist."""

    playlist_id: str

    @property
    def target(self) -> tuple[str, str]:
        """Target type and id, as in events."""
        return "playlist", self.playlist_id


@dataclass(frozen=True, kw_only=True)
class MlogItem(CollectionItem):
    """A recommended mlog."""

    mlog_id: str

    @property
    def target(self) -> tuple[str, str]:
        """Target type and id, as in events."""
        return "mlog", self.mlog_id


ResponseItem = TrackItem | PlaylistItem | MlogItem


@dataclass
class Trace:
    """Counts and times of one request, filled in by the stages, for debugging clients and the log."""

    release: str  # release that computed the response
    discovery: float | None  # fraction of new tracks that the response should have, 0..1; None if not applicable
    state_from: str = ""  # source of the user state: `store`, or if it failed `memory` or `nothing`
    stage_ms: dict[str, float] = field(default_factory=dict)  # stage → milliseconds, in pipeline order
    candidates: dict[str, int] = field(default_factory=dict)  # channel → number of candidates
    left_out: dict[str, str] = field(default_factory=dict)  # channel → why it was skipped: `failed`, `late` or `busy`
    fused: int = 0  # distinct candidates of all channels
    removed: dict[str, int] = field(default_factory=dict)  # filter → number of candidates removed, fallback ones too
    ranked: int = 0  # candidates that were ranked
    listed: int = 0  # tracks taken from today's list
    explored: int = 0  # tracks that exploration added in this request
    degraded: dict[str, str] = field(default_factory=dict)  # part that failed for this response → what it lacks
    unmet: dict[str, str] = field(default_factory=dict)  # `discovery`, `max_per_artist` or `words` → why it is not met

    @property
    def has_no_channel(self) -> bool:
        """Whether every channel that was called is left out."""
        return bool(self.left_out) and not self.candidates

    @contextmanager
    def time_stage(self, stage: str, metrics: Metrics) -> Iterator[None]:
        """Record the duration of a stage, also of a failing one, here and in the metrics."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            metrics.stage_seconds.labels(stage).observe(seconds)
            self.stage_ms[stage] = round(seconds * 1000, 3)

    def record_state(self, state_from: str) -> None:
        """Record the source of the user state."""
        self.state_from = state_from
        if state_from in DEGRADED_STATES:
            self.degraded["online_store"] = DEGRADED_STATES[state_from]

    def record_recall(self, recalled: RecallResult) -> None:
        """Record the candidate count of each channel, the channels left out, and whether these are all."""
        self.candidates = {name: int((one.items_BK > 0).sum()) for name, one in recalled.candidates.items()}
        self.left_out = dict(recalled.left_out)
        if self.has_no_channel:
            self.degraded["recall"] = RECALL_FAILED

    def record_removed(self, removed: Mapping[str, int]) -> None:
        """Add counts of removed candidates per filter."""
        for name, count in removed.items():
            self.removed[name] = self.removed.get(name, 0) + count


@dataclass(frozen=True)
class RecommendationResponse:
    """The response to a request.

    Attributes:
        request_id: Id of the request.
        release: Release that chose all items. If a daily list was begun by an earlier release and extended by this one, it is
            the later one, and every item names its own.
        items: Items, best first.
        trace: How the response was computed.
        arm: Arm of the experiment; empty without one.
    """

    request_id: str
    release: str
    items: Sequence[ResponseItem]
    trace: Trace
    arm: str = ""


@dataclass(frozen=True)
class SeedReasons:
    """Reasons of the response to a request about tracks or a title."""

    items: np.ndarray
    title: str
    is_similar: bool  # similar tracks, which are never filled with popular ones

    @classmethod
    def of(cls, request: Request, items: np.ndarray) -> Self | None:
        """The reasons for a request; None if it depends on a user instead."""
        return cls(items, request.title, request.track_id is not None) if request.is_about_tracks else None

    def reason(self, item: int, channels: Sequence[str], release: ServedRelease) -> Reason:
        """Why a track that these channels found is in the response."""
        del item
        if not self.is_similar and channels and channels[0] in TITLE_SOURCES:
            return Reason("fits_title", {"title": self.title})
        if not len(self.items) or not (channels or self.is_similar):
            return MOST_PLAYED
        if len(self.items) == 1:
            return Reason("close_to_track", {"track": track_phrase(release.vocabulary, int(self.items[0]))})
        return Reason("fits_playlist")


@dataclass(frozen=True)
class PathReasons:
    """Reasons of the tracks of a path between two items."""

    first: int
    last: int

    def reason(self, item: int, channels: Sequence[str], release: ServedRelease) -> Reason:
        """Why a track is on the path."""
        del channels
        if item in (self.first, self.last):
            return Reason("end_of_path")
        ends = {name: track_phrase(release.vocabulary, end) for name, end in (("x", self.first), ("y", self.last))}
        return Reason("between_tracks", ends)


def true_reason(reason: Reason | None, item: int, release: ServedRelease) -> Reason | None:
    """The reason; None if it says that a track that was at most skipped is among the most played."""
    return None if reason == MOST_PLAYED and not release.catalog.is_listened_V[item] else reason


def build_items(
    chosen: RequestCandidates,
    release: ServedRelease,
    users: UserBatch,
    listed: Mapping[int, ListedTrack],
    seeds: SeedReasons | PathReasons | None,
    recall: Recall,
    metrics: Metrics,
) -> list[TrackItem]:
    """Add metadata and reasons to the chosen tracks.

    Args:
        chosen: Tracks of the response, in order.
        release: Release that computes the response.
        users: The request, B = 1.
        listed: Item → track of today's list; such a track keeps its title and artists.
        seeds: What a request is about that does not depend on the user; None for recommendations.
        recall: Gives the reasons of channels.
        metrics: Counts channels that fail to give a reason.
    """
    chosen_items = chosen.items_C.tolist()
    found_by = dict(zip(chosen_items, chosen.channels_C, strict=True))
    if seeds is None:
        # Also of listed tracks: what was true in the morning need not be true in the evening.
        reasons = _collect_reasons(found_by, users, release, recall, metrics)
    else:
        reasons = {item: seeds.reason(item, channels, release) for item, channels in found_by.items()}
    listed_tracks = [listed.get(item) for item in chosen_items]
    scores = np.nan_to_num(chosen.scores_C).tolist()
    items = []
    for item, score, channels, before in zip(chosen_items, scores, chosen.channels_C, listed_tracks, strict=True):
        details = detail_fields(release, item)
        if before:
            details["title"], details["artists"] = (
                before.title or details["title"],
                before.artists or details["artists"],
            )
        items.append(
            TrackItem(
                **details,
                score=round(score, 6),
                channels=channels,
                reason=true_reason(reasons[item], item, release),
                propensity=chosen.exploration_propensity.get(item, 1.0),
                is_exploration=item in chosen.exploration_propensity,
                release=(before.release if before else "") or release.release_id,
            )
        )
    return items


def _collect_reasons(
    found_by: Mapping[int, list[str]], users: UserBatch, release: ServedRelease, recall: Recall, metrics: Metrics
) -> dict[int, Reason | None]:
    """Item → reason of the first of its channels that gives one; each channel is called once for all of its items."""
    reasons: dict[int, Reason | None] = {item: None if channels else MOST_PLAYED for item, channels in found_by.items()}
    remaining = {item: list(channels) for item, channels in found_by.items() if channels}
    while remaining:
        items_of: dict[str, list[int]] = {}
        for item, channels in remaining.items():
            items_of.setdefault(channels[0], []).append(item)
        found = recall.reasons(release, users, items_of)
        for name in found:
            reasons |= zip(items_of[name], found[name], strict=True)
        failed = items_of.keys() - found.keys()
        for name in failed:
            metrics.skipped.labels(f"reason_{name}").inc()
        without = {item: channels for item, channels in remaining.items() if channels[0] in failed}
        others = {item: [name for name in channels if name not in failed] for item, channels in without.items()}
        remaining = {item: channels for item, channels in others.items() if channels}
    return reasons
