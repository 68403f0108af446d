"""What a request gets: its tracks, or playlists or mlogs, each with who found it and why."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serving.observability.metrics import Metrics
from serving.pipeline.daily_lists import ListedTrack
from serving.pipeline.fuse import RequestCandidates
from serving.pipeline.recall import Recall
from serving.pipeline.trace import Trace
from serving.releases.served_release import ServedRelease
from training.data.user_batch import UserBatch
from training.recall.reason import Reason, track_phrase

MOST_PLAYED = Reason("most_played")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackItem:
    """One track of the answer and why it is there; `channels` names who found it, the one that placed it best first.

    `audio_url` is where it can be heard, None where nobody knows.
    `is_exploration`: chance gave it its place, with probability `propensity`; otherwise that is 1. `release` gave it its
    place and all these words.
    """

    track_id: str
    title: str
    artists: list[str]
    artist_ids: list[str]
    duration_ms: int
    score: float
    channels: list[str]
    reason: Reason | None
    propensity: float = 1.0
    is_exploration: bool = False
    release: str = ""
    audio_url: str | None = None

    @property
    def target(self) -> tuple[str, str]:
        """Type and id, as an event has them."""
        return "track", self.track_id


@dataclass(frozen=True)
class CollectionTrack:
    """A track that a playlist or an mlog holds; `duration_ms` is 0 where nobody knows it."""

    track_id: str
    title: str
    artists: list[str]
    duration_ms: int
    audio_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class CollectionItem:
    """A playlist or an mlog of the answer, why it is there, and some of its tracks that may be played."""

    title: str
    score: float
    channels: list[str]
    reason: Reason | None
    tracks: list[CollectionTrack]
    propensity: float = 1.0
    is_exploration: bool = False
    release: str = ""


@dataclass(frozen=True, kw_only=True)
class PlaylistItem(CollectionItem):
    """See `ContainerItem`."""

    playlist_id: str

    @property
    def target(self) -> tuple[str, str]:
        """Type and id, as an event has them."""
        return "playlist", self.playlist_id


@dataclass(frozen=True, kw_only=True)
class MlogItem(CollectionItem):
    """See `ContainerItem`."""

    mlog_id: str

    @property
    def target(self) -> tuple[str, str]:
        """Type and id, as an event has them."""
        return "mlog", self.mlog_id


ResponseItem = TrackItem | PlaylistItem | MlogItem


@dataclass(frozen=True)
class RecommendationResponse:
    """What a request gets; `release` is the one that gave all of it. Only a daily list that one release began and another
    made longer is of both: then it is the later one, and every item names its own. `trace` says how; `arm` is that of
    the experiment, if there is one.
    """

    request_id: str
    release: str
    items: Sequence[ResponseItem]
    trace: Trace
    arm: str = ""


def build_items(
    chosen: RequestCandidates,
    release: ServedRelease,
    users: UserBatch,
    listed: Mapping[int, ListedTrack],
    near: int | None,
    recall: Recall,
    metrics: Metrics,
) -> list[TrackItem]:
    """The chosen tracks in words; one that was `listed` before, item ▸ track, is there in the same words as then, and all
    are there for the item that they are `near`, if there is one.
    """
    chosen_items = chosen.items_C.tolist()
    before: dict[int, Reason | None] = {item: listed[item].reason for item in chosen_items if item in listed}
    said: dict[int, Reason | None]
    if near is None:
        found_by = zip(chosen_items, chosen.channels_C, strict=True)
        fresh = {item: channels for item, channels in found_by if item not in before}
        said = before | _collect_reasons(fresh, users, release, recall, metrics)
    else:
        nearness = Reason("close_to_track", {"track": track_phrase(release.vocabulary, near)})
        said = {**dict.fromkeys(chosen_items, nearness), **before}
    given = [listed.get(item) for item in chosen_items]
    scores = np.nan_to_num(chosen.scores_C).tolist()
    return [
        TrackItem(
            track_id=str(release.vocabulary.track_ids_V[item]),
            title=(one.title if one else "") or release.catalog.titles_V[item],
            artists=(one.artists if one else []) or release.catalog.artist_names_V[item],
            artist_ids=release.catalog.artist_ids_of(item),
            duration_ms=int(release.catalog.duration_ms_V[item]),
            score=round(score, 6),
            channels=channels,
            reason=said[item],
            propensity=chosen.exploration_propensity.get(item, 1.0),
            is_exploration=item in chosen.exploration_propensity,
            release=(one.release if one else "") or release.release_id,
            audio_url=release.catalog.audio_urls_V[item] or None,
        )
        for item, score, channels, one in zip(chosen_items, scores, chosen.channels_C, given, strict=True)
    ]


def _collect_reasons(
    found_by: Mapping[int, list[str]], users: UserBatch, release: ServedRelease, recall: Recall, metrics: Metrics
) -> dict[int, Reason | None]:
    """Each item's reason by the first of its channels that gives one; every channel is asked once for all of its items."""
    said: dict[int, Reason | None] = {item: None if channels else MOST_PLAYED for item, channels in found_by.items()}
    left = {item: list(channels) for item, channels in found_by.items() if channels}
    while left:
        name = next(iter(left.values()))[0]
        asked = [item for item, channels in left.items() if channels[0] == name]
        try:
            said |= zip(asked, recall.reasons(release, name, users, asked), strict=True)
            left = {item: channels for item, channels in left.items() if channels[0] != name}
        except Exception:
            logger.exception("channel %s gives no reason", name)
            metrics.skipped.labels(f"reason_{name}").inc()
            others = {item: [channel for channel in channels if channel != name] for item, channels in left.items()}
            left = {item: channels for item, channels in others.items() if channels}
    return said
