"""Behavioral tests of a release: how its responses change after reactions, how they are spaced, what their reasons claim.

In the spirit of RecList: Chia, Tagliabue, Bianchi, He, Ko, "Beyond NDCG: behavioral testing of recommender systems with
RecList" (2022), arXiv 2111.09963. Every response is computed by the pipeline of the service; a reaction is an event that is
added to the history of a real user of the marts. One response before the reactions is shared by all tests of a user.

Shares are of tracks among the first LENGTH of a radio, without the tracks that were reacted to and without explored
ones.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from prometheus_client import CollectorRegistry

from event_store.sqlite_stores import SqliteServingState
from recommender.slate.scene_settings import HEAD_LENGTH
from recommender.user.user_batch import KEPT_BEHAVIORS, LISTEN_BEHAVIORS
from served_behavior.listeners import Listener, Listeners
from served_behavior.reason_truth import ReasonTruth, TrackFacts
from serving.observability.metrics import Metrics
from serving.pipeline.request import read_request
from serving.pipeline.response import ResponseItem
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.recall import Recall
from serving.pipeline.track_pipeline import TrackPipeline
from serving.releases.served_release import ServedRelease
from training.process import parallel_map

LENGTH = 20
MOST = 30  # largest radio, of which reactions may take some away
MIN_STYLE_SHARE = 0.3  # of a style that skips and dislikes are about
SKIPS, LIKES = 3, 5
STREAM = 3  # tracks of a default radio
LATER_US = 20 * 3_600_000_000  # in the next session, on most days of the next day
NO_DEADLINE_S = 600.0
SEED = 0


class BehaviorTests:
    """Runs the tests of one release.

    Args:
        release: The release.
        marts: Marts that the release was built from.
        listeners: Users to test with.
    """

    def __init__(self, release: ServedRelease, marts: Path, listeners: Listeners) -> None:
        self._release, self._listeners, self._facts = release, listeners, TrackFacts.read(marts)
        self._metrics = Metrics(CollectorRegistry())
        self._folder = tempfile.TemporaryDirectory(prefix="segue-behavior-")
        self._tracks_of_style: dict[str, list[str]] = defaultdict(list)
        catalog, vocabulary = release.catalog, release.vocabulary
        for item in np.flatnonzero(catalog.is_served_V).tolist():
            for style in self._styles(str(vocabulary.track_ids_V[item])):
                self._tracks_of_style[style].append(str(vocabulary.track_ids_V[item]))

    @cached_property
    def _state(self) -> SqliteServingState:
        """Lists of no user; opened by each process for itself, because a connection does not survive a fork."""
        return SqliteServingState(Path(self._folder.name), lambda: time.time_ns() // 1000)

    def run(self) -> dict[str, Any]:
        """By test its mean, the number of cases and of users; and the size of the world."""
        values: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for user_id, found in parallel_map(self._test_user, range(len(self._listeners.by_id)), "behavior of users"):
            for test, value in found:
                values[test].append((user_id, value))
        tests = {
            name: {
                "value": round(float(np.mean([value for _, value in found])), 4),
                "cases": len(found),
                "users": len({user for user, _ in found}),
            }
            for name, found in sorted(values.items())
        }
        artists = {int(one) for one in self._release.catalog.main_artist_V.tolist()}
        return {"tests": tests, "artists": len(artists), "users_of_log": len(self._listeners.plays_total)}

    def _test_user(self, number: int) -> tuple[str, list[tuple[str, float]]]:
        listener = list(self._listeners.by_id.values())[number]
        return listener.user_id, list(self._test(listener))

    def _test(self, listener: Listener) -> Iterator[tuple[str, float]]:
        """Outcomes of one user."""
        before = self._radio(listener, MOST)
        if not before:
            return
        yield "same_request_same_list", float(self._radio(listener, MOST) == before)
        yield from self._test_lists(listener, before)
        styles = Counter(style for item in before[:LENGTH] for style in self._styles(item.track_id))
        style, count = max(styles.items(), key=lambda one: (one[1], one[0]), default=("", 0))
        if count >= MIN_STYLE_SHARE * LENGTH:
            yield from self._test_rejections(listener, before, style)
        yield from self._test_new_style(listener, before)
        first = before[0]
        skipped = self._radio(listener.react("skip", [first.track_id]), STREAM)
        if skipped and first.details["artist_ids"]:
            yield (
                "next_by_skipped_artist",
                float(skipped[0].details["artist_ids"][:1] == first.details["artist_ids"][:1]),
            )
            artist = first.details["artist_ids"][0]
            blocked = self._radio(listener.react("block", [artist], "artist"), LENGTH)
            yield (
                "artist_after_block",
                sum(artist in item.details["artist_ids"] for item in blocked) / max(len(blocked), 1),
            )

    def _test_rejections(
        self, listener: Listener, before: Sequence[ResponseItem], style: str
    ) -> Iterator[tuple[str, float]]:
        rejected = [item.track_id for item in before if style in self._styles(item.track_id)][:SKIPS]
        # Not of their artists: a radio has one track by an artist, so their share is 0 before and after.
        is_counted = self._with_style(style)
        share = self._share(before, is_counted, rejected)
        for behavior in ("skip", "dislike"):
            reacted = listener.react(behavior, rejected)
            after = self._radio(reacted, LENGTH + SKIPS)
            yield from self._test_reasons(reacted, after)
            if share:
                yield f"style_after_{SKIPS}_{behavior}s", self._share(after, is_counted, rejected) / share

    def _test_new_style(self, listener: Listener, before: Sequence[ResponseItem]) -> Iterator[tuple[str, float]]:
        """Share of a style that the user has never played, after reactions to LIKES of its tracks."""
        played = listener.count(("full_play", "play", "skip"))
        known = {style for track in played for style in self._styles(track)}
        new = sorted(style for style, tracks in self._tracks_of_style.items() if len(tracks) >= LIKES + LENGTH)
        choices = [style for style in new if style not in known]
        if not choices:
            return
        generator = np.random.default_rng([SEED, played.total()])
        style = choices[int(generator.integers(len(choices)))]
        tracks = [str(one) for one in generator.choice(self._tracks_of_style[style], LIKES, replace=False)]
        likes = listener.react("like", tracks)
        reactions = {
            f"{LIKES}_likes": likes,
            f"{LIKES}_likes_of_yesterday": replace(likes, now_us=likes.now_us + LATER_US),
            **{f"{LIKES}_{behavior}s": listener.react(behavior, tracks) for behavior in ("collect", "full_play")},
        }
        for reaction, reacted in reactions.items():
            after = self._radio(reacted, LENGTH + LIKES)
            yield from self._test_reasons(reacted, after)
            for name, is_counted in (("style", self._with_style(style)), ("artist", self._by_artists_of(tracks))):
                change = self._share(after, is_counted, tracks) - self._share(before, is_counted, tracks)
                yield f"new_{name}_after_{reaction}", change

    def _test_reasons(self, listener: Listener, items: Sequence[ResponseItem]) -> Iterator[tuple[str, float]]:
        """Whether each reason is false."""
        truth = ReasonTruth(self._facts, listener)
        for item in items:
            yield "false_reasons", float(not truth.is_true(item.track_id, item.reason))

    def _test_lists(self, listener: Listener, radio: Sequence[ResponseItem]) -> Iterator[tuple[str, float]]:
        """What a list of the day and a radio consist of."""
        played, heard = (
            listener.count(("full_play", "play", "skip")),
            listener.count((*LISTEN_BEHAVIORS, *KEPT_BEHAVIORS)),
        )
        known_artists = {artist for track in played for artist in self._artists(track)[:1]}
        for scene, items in (("daily", self._list(listener, "daily", None)), ("private_fm", radio)):
            yield from self._test_reasons(listener, items)
            artists = [item.details["artist_ids"][0] if item.details["artist_ids"] else "" for item in items]
            for left, right in pairwise(artists):
                yield f"{scene}_neighbors_by_one_artist", float(bool(left) and left == right)
            yield (
                f"{scene}_head_within_2_per_artist",
                float(max(Counter(artists[:HEAD_LENGTH]).values(), default=0) <= 2),
            )
            for item, artist in zip(items, artists, strict=True):
                yield f"{scene}_known_tracks", float(item.track_id in played)
                yield f"{scene}_new_artists", float(artist not in known_artists)
                yield f"{scene}_skipped_and_never_heard", float(played[item.track_id] > heard[item.track_id] == 0)
            yield f"{scene}_most_by_one_artist", float(max(Counter(artists).values(), default=0))

    def _radio(self, listener: Listener, limit: int) -> Sequence[ResponseItem]:
        return self._list(listener, "private_fm", limit)

    def _list(self, listener: Listener, scene: str, limit: int | None) -> Sequence[ResponseItem]:
        """A response to the listener, which is not recorded."""
        # A hydrator of its own, because it remembers dislikes and blocks of a user.
        hydrator = Hydrator(listener, self._metrics)
        recall = Recall(self._metrics, NO_DEADLINE_S)
        pipeline = TrackPipeline(hydrator, recall, self._state, self._metrics)
        request = read_request(listener.user_id, scene, limit, listener.now_us, request_id="behavior")
        return pipeline.recommend(request, self._release, is_shown=False).items

    def _styles(self, track_id: str) -> Sequence[str]:
        row = self._facts.rows.get(track_id)
        return (row["styles"] or ()) if row else ()

    def _artists(self, track_id: str) -> Sequence[str]:
        item = self._release.vocabulary.track_code.get(track_id)
        return self._release.catalog.artist_ids_of(item) if item is not None else ()

    def _with_style(self, style: str) -> Callable[[str], bool]:
        return lambda track_id: style in self._styles(track_id)

    def _by_artists_of(self, tracks: Sequence[str]) -> Callable[[str], bool]:
        artists = {artist for track_id in tracks for artist in self._artists(track_id)}
        return lambda track_id: not artists.isdisjoint(self._artists(track_id))

    @staticmethod
    def _share(items: Sequence[ResponseItem], is_counted: Callable[[str], bool], without: Sequence[str]) -> float:
        """Share of counted tracks among the first LENGTH that are neither in `without` nor explored."""
        tracks = [item.track_id for item in items if item.track_id not in without and not item.is_exploration][:LENGTH]
        return sum(map(is_counted, tracks)) / max(len(tracks), 1)


def fairness(slate: pl.DataFrame, groups: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Recall@30 of the served list, averaged over the requests of a user, by group of users: its name, then the part.

    Args:
        slate: Columns `user_id` and `recall_at_30` of the held-out requests.
        groups: Name of a grouping → user → part.
    """
    by_user = slate.drop_nans("recall_at_30").group_by("user_id").agg(pl.col("recall_at_30").mean())
    table = {}
    for name, part_of in groups.items():
        parts = by_user.with_columns(part=pl.col("user_id").replace_strict(part_of, default=None)).drop_nulls("part")
        table[name] = dict(parts.group_by("part").agg(pl.col("recall_at_30").mean().round(4)).sort("part").iter_rows())
    return table
