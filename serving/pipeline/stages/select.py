"""Selection stage: the tracks of the response from the ranked candidates, and what the candidates did not allow.

Slots (`training.slate.discovery_slots`), spacing of artists and diversity (`training.slate.mmr_selection`) are the
functions that the evaluation uses. Legend: C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from sequences.sequence_batch import FIRST_CODE
from serving.pipeline.request import Request
from serving.pipeline.stages.fuse import RequestCandidates
from serving.pipeline.stages.rank import find_discoveries
from serving.releases.served_release import ServedRelease
from training.data.catalog import Catalog
from training.data.user_batch import UserBatch
from training.slate.artist_cap import ArtistCap
from training.slate.discovery_slots import discovery_slots, feasible_share, new_artist_slots
from training.slate.mmr_selection import select_slots

MAX_SHARE_ERROR = 0.05
"""Largest difference from the requested share of new tracks that is not named in the response; one track never is."""


@dataclass(frozen=True)
class Selection:
    """How the tracks of one response are selected.

    Attributes:
        release: Release that answers the request.
        slots_L: Which slots are for new tracks.
        cap: Maximum numbers of tracks per artist.
        strength: Strength of diversity.
        artist_before: Artist of the last track of the session that a stream continues; 0 without one.
        known_artists: Artists that the user has played, if some slots are for others; None: no slots are.
    """

    release: ServedRelease
    slots_L: np.ndarray
    cap: ArtistCap
    strength: float = 0.0
    artist_before: int = 0
    known_artists: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        request: Request,
        release: ServedRelease,
        users: UserBatch,
        is_discovery_C: np.ndarray,
        share: float,
        session: np.ndarray,
    ) -> Self:
        """The selection for a request.

        Args:
            request: The request.
            release: Release that answers it.
            users: The request, B = 1.
            is_discovery_C: Which candidates are new to the user.
            share: Fraction of new tracks.
            session: Items of the session that a stream continues, oldest first.
        """
        # A stream is one long list, whose rarer kind is spread over the largest response.
        length = request.scene.max_limit if request.scene.excludes_session_plays else request.limit
        return cls(
            release,
            discovery_slots(feasible_share(share, is_discovery_C, length), request.limit, len(session)),
            request.scene.artist_cap,
            release.blend.diversity if request.scene.is_diverse else 0.0,
            int(release.catalog.main_artist_V[session[-1]]) if len(session) else 0,
            release.catalog.main_artist_V[users.history_items.items] if request.scene.seeks_new_artists else None,
        )

    def select(
        self, candidates: RequestCandidates, is_discovery_C: np.ndarray, given_L: np.ndarray, excess: int = 0
    ) -> np.ndarray:
        """Place of the candidate of each slot, int64 [L]; -1 for a slot without one.

        Args:
            candidates: Candidates with scores that are comparable within a kind.
            is_discovery_C: Which of them are new to the user.
            given_L: Places of the candidates that have a slot already; -1 for the other slots.
            excess: Tracks per artist that are allowed beyond the cap.
        """
        artist_C = self.release.catalog.main_artist_V[candidates.items_C]
        new_artists = None
        if self.known_artists is not None:
            new_artists = ~np.isin(artist_C, self.known_artists), new_artist_slots(self.slots_L)
        return select_slots(
            candidates.scores_C,
            is_discovery_C,
            artist_C,
            self.slots_L,
            self.cap.relaxed_by(excess),
            self.release.catalog.facets.similarity(candidates.items_C) if self.strength else None,
            self.strength,
            given_L,
            self.artist_before,
            new_artists,
        )


def find_unmet(request: Request, catalog: Catalog, users: UserBatch, chosen: RequestCandidates) -> dict[str, str]:
    """`discovery` of the request, `max_per_artist` of the scene or `artist_spacing`, if the tracks do not meet it → why."""
    unmet, count, cap = {}, len(chosen), request.scene.artist_cap
    if request.discovery is not None and count:
        new = int(find_discoveries(users, chosen).sum())
        if abs(new - request.discovery * count) > max(1, MAX_SHARE_ERROR * count):
            lacking = "known" if new > request.discovery * count else "new"
            unmet["discovery"] = f"{new} of {count} tracks are new to the user; there are not enough {lacking} tracks"
    is_new_C = np.zeros(count, dtype=bool) if cap.new_tracks is None else find_discoveries(users, chosen)
    artist_C = catalog.main_artist_V[chosen.items_C]
    group_C, limit_C = cap.groups(artist_C, is_new_C), cap.limits(is_new_C)
    number_C = np.bincount(group_C, minlength=1)[group_C]
    if (exceeding := np.flatnonzero((group_C >= FIRST_CODE) & (number_C > limit_C))).size:
        place = exceeding[(number_C - limit_C)[exceeding].argmax()]
        what = "new tracks" if is_new_C[place] else "tracks"
        unmet["max_per_artist"] = (
            f"up to {number_C[place]} {what} by one artist instead of {limit_C[place]}; there are not enough artists"
        )
    return unmet | find_unspaced(catalog, chosen)


def find_unspaced(catalog: Catalog, chosen: RequestCandidates) -> dict[str, str]:
    """`artist_spacing`, if some tracks follow one by the same artist → why."""
    artist_C = catalog.main_artist_V[chosen.items_C]
    neighbors = int(((artist_C[1:] == artist_C[:-1]) & (artist_C[1:] >= FIRST_CODE)).sum())
    if not neighbors:
        return {}
    return {"artist_spacing": f"{neighbors} tracks follow one by the same artist; there are not enough artists"}
