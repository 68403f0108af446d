"""Slots of the visible list: which are for repeats and which for discoveries, and which candidate gets which slot.

A discovery is less likely to be listened to than any of a user's favorites, so a common ranking of both leaves hardly a
discovery in the first 30 positions. Repeats and discoveries therefore have their own slots, and compete only with their
kind: the share of discoveries is what the request or the scene says, whatever the scores are. Likewise, new tracks by
artists that the user knows are more likely to be listened to than those by others, so some slots are for new artists.
Artists are spaced, and lists are diverse, by `recommender.slate.mmr_selection`.

Evaluation and serving call the same functions. Legend: C candidates, L slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from recommender.array_types import Bools, Ints
from recommender.catalog.arrays import is_among
from recommender.catalog.catalog import Catalog
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.mmr_selection import select_slots
from recommender.slate.scene_settings import KNOWN_ARTIST_EVERY, ArtistCap, Scene
from recommender.user.exclusions import NO_ITEMS

ROUNDING = 1e-9  # added before rounding down, so that a share of .1 gives the tenth slot


@dataclass(frozen=True)
class Slots:
    """How the slots of one list are filled.

    Attributes:
        catalog: Artists and facets of the items.
        is_discovery_L: Which slots are for discoveries.
        cap: Maximum numbers of tracks per artist.
        strength: Strength of diversity.
        artist_before: Artist of the last track of the session that a stream continues; 0 without one.
        known_artists: Artists that the user has played, if some slots are for others; None: no slots are.
    """

    catalog: Catalog
    is_discovery_L: Bools
    cap: ArtistCap
    strength: float = 0.0
    artist_before: int = 0
    known_artists: Ints | None = None

    @classmethod
    def of(
        cls,
        table: CandidateTable,
        catalog: Catalog,
        scene: Scene,
        limit: int,
        share: float,
        diversity: float = 0.0,
        history: Ints = NO_ITEMS,
        session: Ints = NO_ITEMS,
    ) -> Self:
        """The slots of a list.

        Args:
            table: Candidates of the request.
            catalog: Catalog of the release.
            scene: Scene of the request.
            limit: Number of slots.
            share: Fraction of discoveries.
            diversity: Strength of diversity, for scenes that are diverse.
            history: Items that the user has played.
            session: Items of the session that a stream continues, oldest first.
        """
        # A stream is one long list, whose rarer kind is spread over the largest response.
        length = scene.max_limit if scene.excludes_session_plays else limit
        return cls(
            catalog,
            discovery_slots(feasible_share(share, table.is_discovery_C, length), limit, len(session)),
            scene.artist_cap,
            diversity if scene.is_diverse else 0.0,
            int(catalog.main_artist_V[session[-1]]) if len(session) else 0,
            catalog.main_artist_V[history] if scene.seeks_new_artists else None,
        )

    def select(self, table: CandidateTable, place_L: Ints | None = None, excess: int = 0) -> Ints:
        """Place of the candidate of each slot, int64 [L]; -1 for a slot without one.

        Args:
            table: Candidates with scores that are comparable within a kind.
            place_L: Places of the candidates that have a slot already; -1 for the other slots.
            excess: Tracks per artist that are allowed beyond the cap.
        """
        artist_C = self.catalog.main_artist_V[table.item_C]
        new_artists = None
        if self.known_artists is not None:
            is_for_new_L = self.is_discovery_L & (self.is_discovery_L.cumsum() % KNOWN_ARTIST_EVERY != 0)
            new_artists = ~is_among(artist_C, self.known_artists), is_for_new_L
        return select_slots(
            table.score_C,
            table.is_discovery_C,
            artist_C,
            self.is_discovery_L,
            self.cap.relaxed_by(excess) if excess else self.cap,
            self.catalog.facets.similarity(table.item_C) if self.strength else None,
            self.strength,
            place_L,
            self.artist_before,
            new_artists,
        )


def discovery_slots(share: float, count: int, first: int = 0) -> Bools:
    """Which of `count` slots are for discoveries, evenly spaced; the k-th is the first slot n with share * n >= k.

    A repeat comes first unless the share is 1. A larger share has at least as many discoveries in every prefix, and the
    slots of a longer list begin with the slots of a shorter one.

    Args:
        share: Fraction of discoveries, 0..1.
        count: Number of slots.
        first: Number of slots before the first of these, in a list that is continued.
    """
    due = np.floor(share * np.arange(first, first + count + 1) + ROUNDING)
    return np.diff(due) > 0


def feasible_share(share: float, is_discovery_C: Bools, limit: int) -> float:
    """The share of discoveries nearest to `share` that the candidates allow, so that the rarer kind is spread evenly.

    Shares of 0 and 1 are kept: only candidates of one kind are wanted, and others may only follow them.
    """
    if share in (0.0, 1.0) or not len(is_discovery_C):
        return share
    length = min(limit, len(is_discovery_C))
    discoveries = int(is_discovery_C.sum())
    most, least = discoveries / length, 1 - (len(is_discovery_C) - discoveries) / length
    return float(np.clip(share, max(least, 0.0), min(most, 1.0)))
