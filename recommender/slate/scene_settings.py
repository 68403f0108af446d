"""Settings of the scenes, the places of the product that show recommendations: length, diversity, exploration; one row each.

The request path, the OpenAPI document, the listening page and the evaluation read this table.

Caps on the tracks of one artist hold in the whole list and at its head. A tight cap costs tracks that users come back for; the
evaluation report shows the price of the cap of the daily list (`served_uncapped`). MAX_TRACKS_PER_ARTIST is a decision for the
product: without a cap half of the daily lists of real logs have 9 or more of 30 tracks by one artist. New tracks are counted on
their own, since users discover in runs: the next discovery is often by an artist whose known tracks fill the cap already. The
head of a list, which is all that a small screen shows, counts both together.

Legend: C candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from recommender.array_types import Bools, Ints
from sequences.sequence_batch import FIRST_CODE

MAX_TRACKS_PER_ARTIST = 4
MAX_NEW_TRACKS_PER_ARTIST = 3
HEAD_LENGTH = 8
"""First tracks of a list that have a cap of their own."""
MAX_HEAD_TRACKS_PER_ARTIST = 2
KNOWN_ARTIST_EVERY = 3
"""Every third slot for new tracks may have an artist that the user has played, in scenes that seek new artists."""


CANDIDATES_PER_CHANNEL = 200  # candidates of each channel that are fused, in evaluation and serving
MAX_RANKED_CANDIDATES = 200  # fused candidates of a request that are ranked, in evaluation and serving
MIN_RANKED_DISCOVERY_SHARE = 0.3
"""Least share of discoveries among the ranked candidates, so that there are enough for the slots of the visible list."""
TRACKS = "tracks"
TARGET_TYPES = {TRACKS: "track", "playlists": "playlist", "mlogs": "mlog"}
"""Item type of a scene → target type of the events about its items."""
EXPLORATION_RATE = 1 / 30
"""One slot of a daily list of 30, or of every tenth response with 3 tracks."""
LIST_TASK_IMPORTANCE: Mapping[str, float] = {"not_skipped": 1.0, "full_play": 1.0, "like": 1.0, "click": 0.5}
"""For lists that users browse: a chosen track should be played to its end and kept."""
RADIO_TASK_IMPORTANCE: Mapping[str, float] = {"not_skipped": 2.0, "full_play": 1.0, "like": 1.0}
"""For radio, which plays without a choice: a skip is the only negative feedback."""


@dataclass(frozen=True)
class ArtistCap:
    """Maximum number of tracks by one main artist in a list.

    Unknown artists (codes below FIRST_CODE) are not capped, since they need not be the same artist.
    """

    tracks: int
    new_tracks: int | None = None  # tracks that the user has not played; None: counted together with the others
    head_tracks: int = MAX_HEAD_TRACKS_PER_ARTIST  # known and new tracks together among the first HEAD_LENGTH
    is_spaced: bool = True  # neighbors and the head are spaced, and slots for new artists kept; False: only measured

    def relaxed_by(self, excess: int) -> ArtistCap:
        """A cap that allows so many tracks more."""
        return replace(
            self, tracks=self.tracks + excess, new_tracks=None if self.new_tracks is None else self.new_tracks + excess
        )

    def groups(self, artist_C: Ints, is_new_C: Bools) -> Ints:
        """Codes of the candidates that are counted together; below FIRST_CODE: not capped."""
        if self.new_tracks is None:
            return artist_C
        return np.where(artist_C < FIRST_CODE, artist_C, 2 * artist_C + is_new_C)

    def limits(self, is_new_C: Bools) -> Ints:
        """Maximum number of each candidate's group."""
        return np.where(is_new_C, self.tracks if self.new_tracks is None else self.new_tracks, self.tracks)

    def first_tracks(self, artist_C: Ints, is_new_C: Bools) -> Ints:
        """Positions, in order, of the candidates that are among the first of their group."""
        group_C = self.groups(artist_C, is_new_C)
        order = np.argsort(group_C, kind="stable")
        sorted_C = group_C[order]
        number = np.arange(len(order)) - np.searchsorted(sorted_C, sorted_C)
        return np.sort(order[(number < self.limits(is_new_C)[order]) | (sorted_C < FIRST_CODE)])


@dataclass(frozen=True)
class Scene:
    """Settings of one scene; `artist_cap` and all fields after it concern scenes of tracks only."""

    name: str
    limit: int  # default number of items in a response
    max_limit: int  # largest `limit` that a request may have
    item_type: str = TRACKS  # `tracks`, or the name of the release's collection index: `playlists`, `mlogs`
    artist_cap: ArtistCap = ArtistCap(MAX_TRACKS_PER_ARTIST)  # tracks of one main artist in a response
    relaxes_artist_cap: bool = False  # exceed the cap rather than return fewer items than requested
    repeat_cooldown_days: int = 0  # > 0: one list per UTC day, without tracks of the lists of that many previous days
    excludes_session_plays: bool = False  # exclude what was played or skipped in the current session (streams)
    seeks_new_artists: bool = False  # see `KNOWN_ARTIST_EVERY`
    is_diverse: bool = False  # rerank for diversity, with the strength that the release was fitted to
    exploration_rate: float = 0.0  # fraction of slots given to a random new track
    task_importance: Mapping[str, float] = field(default_factory=lambda: LIST_TASK_IMPORTANCE)  # ranking task → weight

    @property
    def target_type(self) -> str:
        """Target type of the events about this scene's items: `track`, `playlist` or `mlog`."""
        return TARGET_TYPES[self.item_type]


MAX_ARTIST_SHARE_OF_SEARCH = 0.15
"""Part of the tracks found by a search that may be by one artist, rounded up, unless the query names the artist or album."""

SCENES: dict[str, Scene] = {
    scene.name: scene
    for scene in (
        Scene(
            name="daily",
            limit=30,
            max_limit=100,
            artist_cap=ArtistCap(MAX_TRACKS_PER_ARTIST, MAX_NEW_TRACKS_PER_ARTIST),
            relaxes_artist_cap=True,
            repeat_cooldown_days=7,
            seeks_new_artists=True,
            is_diverse=True,
            exploration_rate=EXPLORATION_RATE,
        ),
        Scene(
            name="private_fm",
            limit=3,
            max_limit=30,
            artist_cap=ArtistCap(1),
            excludes_session_plays=True,
            is_diverse=True,
            exploration_rate=EXPLORATION_RATE,
            task_importance=RADIO_TASK_IMPORTANCE,
        ),
        Scene(name="playlists", limit=10, max_limit=50, item_type="playlists"),
        Scene(name="mlog", limit=6, max_limit=50, item_type="mlogs"),
    )
}

SIMILAR = Scene(name="similar", limit=20, max_limit=100, artist_cap=ArtistCap(5, head_tracks=5))
"""Scene of `POST /similar`, which is about a track instead of a user."""

CONTINUATION = Scene(name="continuation", limit=30, max_limit=100)
"""Scene of `POST /recommend` with seeds or a title, which continues a playlist."""

PATH = Scene(name="path", limit=10, max_limit=50)
"""Scene of `POST /path`; its limit is the length of the path."""
