"""What a user has blocked, disliked or left out of the taste profile, from their events: the newest of an action and its
reversal counts.

Albums, playlists and interests are left out of the profile. From the event that excludes a target on, models see none of
the user's events on its tracks, also earlier ones: neither as features of a request nor in training. A reset drops the
events before it only. Legend: V vocabulary, B requests, L events, E rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from event_store.behaviors import NAME_SEPARATOR
from recommender.catalog.catalog import Catalog
from recommender.catalog.vocabulary import Vocabulary
from sequences.sequence_batch import SequenceBatch, reversed_behaviors

EXCLUSIONS_VIEW = "exclusions"
HIDING = ("dislike", "block")
"""Behaviors after which a target is not recommended."""
EXCLUDES_FROM_PROFILE = ("exclude", "reset")
"""Behaviors after which events on the tracks of a target do not count for the taste profile."""

Target = tuple[str, str]
"""(target type, target id)."""
Marks = dict[tuple[str, str, str], tuple[int, bool]]
"""(behavior, target type, target id) → (time of its newest event or reversal in µs UTC, whether it is in force)."""


@dataclass(frozen=True)
class Exclusions:
    """Ids that a user has blocked or disliked, and targets left out of the taste profile, as the events name them."""

    track_ids: frozenset[str] = field(default_factory=frozenset)
    artist_ids: frozenset[str] = field(default_factory=frozenset)
    collections: frozenset[Target] = field(default_factory=frozenset)  # (type, id) of playlists and mlogs
    profile: Mapping[Target, int | None] = field(
        default_factory=dict
    )  # left out of the profile: None for all plays, else those until this time, µs UTC

    @classmethod
    def of_marks(cls, marks: Marks) -> Exclusions:
        """The targets with a mark in force."""
        hidden = [
            (kind, target) for (name, kind, target), (_, is_active) in marks.items() if is_active and name in HIDING
        ]
        return cls(
            track_ids=frozenset(target for kind, target in hidden if kind == "track"),
            artist_ids=frozenset(target for kind, target in hidden if kind == "artist"),
            collections=frozenset(pair for pair in hidden if pair[0] in ("playlist", "mlog")),
            profile=_profile(marks),
        )


def marks_of(events: Iterable[tuple[str, str, str, int]]) -> Marks:
    """The marks after (behavior, target type, target id, time in µs) events, oldest first; others are ignored."""
    reversed_by = reversed_behaviors()
    reversible = frozenset(reversed_by.values())
    marks: Marks = {}
    for behavior, kind, target, at_us in events:
        if behavior in reversible or behavior in reversed_by:
            marks[reversed_by.get(behavior, behavior), kind, target] = at_us, behavior in reversible
    return marks


def marks_of_view(rows: Mapping[str, Sequence[Any]]) -> Marks:
    """The marks of a user's rows of the views `exclusions` or `library`, oldest first."""
    return marks_of(_events_of_view(rows))


def names_of_view(rows: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Interest → the name that the user gave it last, from the rows of the view `exclusions`, oldest first."""
    renames = (target.partition(NAME_SEPARATOR) for name, _, target, _ in _events_of_view(rows) if name == "rename")
    names = {interest: name.strip() for interest, _, name in renames}
    return {interest: name for interest, name in names.items() if name}


def merge_marks(known: Marks, more: Marks) -> Marks:
    """The newest mark of both for each target; of equally old ones the one in `more`."""
    newer = {key: mark for key, mark in more.items() if key not in known or mark[0] >= known[key][0]}
    return known | newer


def canonical_marks(marks: Marks, canonical_id: Callable[[str], str]) -> Marks:
    """The marks by the canonical ids of tracks: of several ids of a track, the newest mark counts."""
    oldest_first = sorted(marks.items(), key=lambda item: item[1][0])
    return {
        (name, kind, canonical_id(target) if kind == "track" else target): mark
        for (name, kind, target), mark in oldest_first
    }


def _profile(marks: Marks) -> dict[Target, int | None]:
    profile: dict[Target, int | None] = {}
    for (name, kind, target), (at_us, is_active) in marks.items():
        if is_active and name == "exclude":
            profile[kind, target] = None
        elif is_active and name == "reset":
            profile.setdefault((kind, target), at_us)
    return profile


def _events_of_view(rows: Mapping[str, Sequence[Any]]) -> Iterable[tuple[str, str, str, int]]:
    names = ("behavior", "target_type", "target_id", "ended_at")
    return zip(*(rows.get(name, ()) for name in names), strict=True)


INTEREST_SEPARATOR = " · "
NO_ITEMS = np.zeros(0, dtype=np.int64)
MAX_REQUIRED_VALUES = 2

FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class LeftOut:
    """The N items that a user left out, ascending, and the time (µs UTC) until which events on each do not count."""

    item_N: np.ndarray = field(default_factory=lambda: NO_ITEMS)
    until_N: np.ndarray = field(default_factory=lambda: NO_ITEMS)

    def __len__(self) -> int:
        """N."""
        return len(self.item_N)

    def contains(self, item: np.ndarray, ended_at: np.ndarray) -> np.ndarray:
        """Which events do not count for the profile: events on `item` at `ended_at` (µs UTC), of any equal shape."""
        if not len(self):
            return np.zeros(item.shape, dtype=bool)
        place = np.minimum(np.searchsorted(self.item_N, item), len(self) - 1)
        return (self.item_N[place] == item) & (ended_at <= self.until_N[place])


NOTHING = LeftOut()


@dataclass(frozen=True)
class TargetTracks:
    """The tracks of albums, playlists and interests.

    An interest is named by facet values or artists, e.g. `Cantonese · britpop · electronic`. A track belongs to it if it
    has all of its values, of three or more at least two; or, if the names are no facet values, if one of the artists
    performs it.
    """

    catalog: Catalog
    items_of_playlist: Callable[[str], np.ndarray] = lambda _: NO_ITEMS  # id → items

    def items_of(self, target: Target) -> np.ndarray:
        """Items of a target (type, id), ascending; empty if it is unknown."""
        kind, name = target
        if kind == "album":
            return self._items_of_album.get(name, NO_ITEMS)
        if kind == "playlist":
            return np.unique(self.items_of_playlist(name))
        return self._items_of_interest(name) if kind == "interest" else NO_ITEMS

    def left_out(self, exclusions: Exclusions) -> LeftOut:
        """The items of all targets that the user left out of the profile."""
        if not exclusions.profile:
            return NOTHING
        found = [(self.items_of(target), until) for target, until in exclusions.profile.items()]
        item = np.concatenate([items for items, _ in found])
        until = np.concatenate([np.full(len(items), FOREVER if end is None else end) for items, end in found])
        item_N, place = np.unique(item, return_inverse=True)
        until_N = np.zeros(len(item_N), dtype=np.int64)
        np.maximum.at(until_N, place, until)
        return LeftOut(item_N, until_N)

    @cached_property
    def _items_of_album(self) -> dict[str, np.ndarray]:
        albums = pl.DataFrame({"album": self.catalog.album_ids_V, "item": np.arange(len(self.catalog))})
        groups = albums.filter(pl.col("album") != "").group_by("album").agg("item")
        return {album: np.sort(np.array(items, dtype=np.int64)) for album, items in groups.iter_rows()}

    @cached_property
    def _items_of_value(self) -> dict[str, np.ndarray]:
        """Facet value → the distinct items that have it in any facet."""
        items_of: dict[str, np.ndarray] = {}
        for (_, value), items in self.catalog.facets.items_of.items():
            items_of[value] = np.union1d(items_of.get(value, NO_ITEMS), items)
        return items_of

    @cached_property
    def _items_of_artist(self) -> dict[str, list[int]]:
        """Artist name → items, ascending. Users may exclude many unknown names, so no name searches the catalog."""
        items_of: dict[str, list[int]] = {}
        for item, names in enumerate(self.catalog.artist_names_V):
            for name in names:
                items_of.setdefault(name, []).append(item)
        return items_of

    def _items_of_interest(self, name: str) -> np.ndarray:
        values = dict.fromkeys(name.split(INTEREST_SEPARATOR))
        known = [self._items_of_value[value] for value in values if value in self._items_of_value]
        if not known:
            performed = {item for value in values for item in self._items_of_artist.get(value, ())}
            return np.array(sorted(performed), dtype=np.int64)
        matches_V = np.zeros(len(self.catalog), dtype=np.int64)
        for items in known:
            matches_V[items] += 1
        return np.flatnonzero(matches_V >= min(len(known), MAX_REQUIRED_VALUES))


def leave_out(
    views: Mapping[str, SequenceBatch], left_out_B: Sequence[LeftOut]
) -> tuple[dict[str, SequenceBatch], np.ndarray]:
    """The views of B requests without the events that do not count, and the items of those events with repetitions."""
    if not any(len(one) for one in left_out_B):
        return dict(views), NO_ITEMS
    kept, dropped = dict(views), [NO_ITEMS]
    for name, view in views.items():
        if "track_id" not in view.columns:
            continue
        item_BL, ended_BL = view.columns["track_id"], view.columns["ended_at"]
        rows = zip(left_out_B, item_BL, ended_BL, strict=True)
        is_out_BL = np.stack([one.contains(item_L, ended_L) for one, item_L, ended_L in rows]) & view.mask_BL
        dropped.append(item_BL[is_out_BL])
        kept[name] = view.where(~is_out_BL) if is_out_BL.any() else view
    return kept, np.concatenate(dropped)


def read_playlist(marts: Path, vocabulary: Vocabulary, playlist_id: str) -> np.ndarray:
    """Items of a playlist of the mart; empty if there is none."""
    path = marts / "playlists.parquet"
    if not path.exists():
        return NO_ITEMS
    rows = pl.scan_parquet(path).filter(pl.col("playlist_id") == playlist_id).select("track_ids").collect()
    return vocabulary.encode([track for tracks in rows["track_ids"].to_list() for track in tracks or []])


@dataclass(frozen=True)
class ProfileExclusions:
    """What the users of a training run have left out of their profiles by the end of its log."""

    left_out_by_user: Mapping[str, LeftOut]

    @classmethod
    def of(cls, events: pl.LazyFrame, load_targets: Callable[[], TargetTracks]) -> ProfileExclusions:
        """From the mart `events`; the targets are loaded if a user left any out."""
        behaviors = [
            *EXCLUDES_FROM_PROFILE,
            *(name for name, of in reversed_behaviors().items() if of in EXCLUDES_FROM_PROFILE),
        ]
        rows = events.filter(pl.col("behavior").is_in(behaviors))
        time = pl.col("ended_at").cast(pl.Datetime("us")).cast(pl.Int64)
        events_of: dict[str, list[tuple[str, str, str, int]]] = {}
        columns = ("user_id", "known_at", "behavior", "target_type", "target_id")
        for user, _, *event in rows.select(*columns, time).collect().sort("user_id", "known_at").iter_rows():
            events_of.setdefault(user, []).append(tuple(event))
        if not events_of:
            return cls({})
        targets = load_targets()
        found = {user: targets.left_out(Exclusions.of_marks(marks_of(of))) for user, of in events_of.items()}
        return cls({user: left_out for user, left_out in found.items() if len(left_out)})

    def of_users(self, user_ids: Sequence[str]) -> list[LeftOut]:
        """What each user left out."""
        return [self.left_out_by_user.get(user, NOTHING) for user in user_ids]

    def leave_out(self, views: Mapping[str, SequenceBatch], user_ids: Sequence[str]) -> dict[str, SequenceBatch]:
        """The views of B requests without what their users left out."""
        return leave_out(views, self.of_users(user_ids))[0]

    def contains(
        self, users: Sequence[str], offset_U1: np.ndarray, item_E: np.ndarray, ended_E: np.ndarray
    ) -> np.ndarray:
        """Which events of an event table, sorted by user, do not count.

        Args:
            users: The U users of the table.
            offset_U1: Events of user u: offset_U1[u]:offset_U1[u + 1].
            item_E: Items of the events.
            ended_E: Their times, µs UTC.
        """
        left_out_E = np.zeros(len(item_E), dtype=bool)
        number_of = {user: number for number, user in enumerate(users)} if self.left_out_by_user else {}
        for user, left_out in self.left_out_by_user.items():
            if (number := number_of.get(user)) is not None:
                rows = slice(int(offset_U1[number]), int(offset_U1[number + 1]))
                left_out_E[rows] = left_out.contains(item_E[rows], ended_E[rows])
        return left_out_E

    def drop(self, rows: pl.LazyFrame, time: str, vocabulary: Vocabulary) -> pl.LazyFrame:
        """The rows (`user_id`, `track_id`, the column `time`) without what their users left out."""
        if not self.left_out_by_user:
            return rows
        tables = [
            pl.DataFrame(
                {"track_id": vocabulary.decode(one.item_N), "left_out_until": one.until_N},
                schema_overrides={"track_id": pl.String},
            ).with_columns(user_id=pl.lit(user))
            for user, one in self.left_out_by_user.items()
        ]
        joined = rows.join(pl.concat(tables).lazy(), on=["user_id", "track_id"], how="left", maintain_order="left")
        at_us = pl.col(time).cast(pl.Datetime("us")).cast(pl.Int64)
        return joined.filter((at_us > pl.col("left_out_until")).fill_null(True)).drop("left_out_until")
