"""Diversity of artists in a slate: caps on the tracks of one artist, in the whole list and at its head.

A tight cap costs tracks that users come back for; the evaluation report shows the price of several caps on validation
(`cap_table`, `new_cap_table`), and of the cap of the daily list on test. MAX_TRACKS_PER_ARTIST is a decision for the
product: without a cap half of the daily lists of real logs have 9 or more of 30 tracks by one artist.

New tracks are counted on their own, since users discover in runs: the next discovery is often by an artist whose known
tracks fill the cap already. The head of a list, which is all that a small screen shows, counts both together.

Legend: C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE

MAX_TRACKS_PER_ARTIST = 4
MAX_NEW_TRACKS_PER_ARTIST = 3
HEAD_LENGTH = 8
"""First tracks of a list that have a cap of their own."""
MAX_HEAD_TRACKS_PER_ARTIST = 2

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


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
        groups_C: Ints = np.where(artist_C < FIRST_CODE, artist_C, 2 * artist_C + is_new_C)
        return groups_C

    def limits(self, is_new_C: Bools) -> Ints:
        """Maximum number of each candidate's group."""
        limits_C: Ints = np.where(is_new_C, self.tracks if self.new_tracks is None else self.new_tracks, self.tracks)
        return limits_C

    def first_tracks(self, artist_C: Ints, is_new_C: Bools) -> Ints:
        """Positions, in order, of the candidates that are among the first of their group."""
        group_C = self.groups(artist_C, is_new_C)
        order = np.argsort(group_C, kind="stable")
        sorted_C = group_C[order]
        number = np.arange(len(order)) - np.searchsorted(sorted_C, sorted_C)
        return np.sort(order[(number < self.limits(is_new_C)[order]) | (sorted_C < FIRST_CODE)])
