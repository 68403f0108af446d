"""Selection stage: the tracks of the response from the ranked candidates, and what the candidates did not allow.

Slots (`training.slate.discovery_slots`), cap per artist and diversity (`training.slate.mmr_selection`) are the functions
that the evaluation uses. Legend: C candidates.
"""

from __future__ import annotations

import numpy as np

from sequences.sequence_batch import FIRST_CODE
from serving.pipeline.request import Request
from serving.pipeline.stages.fuse import RequestCandidates
from serving.pipeline.stages.rank import find_discoveries
from serving.releases.served_release import ServedRelease
from training.data.catalog import Catalog
from training.data.user_batch import UserBatch
from training.slate.artist_cap import cap_tracks_per_artist, space_artists
from training.slate.discovery_slots import discovery_slots, feasible_share
from training.slate.mmr_selection import select_slots

MAX_SHARE_ERROR = 0.05
"""Largest difference from the requested share of new tracks that is not named in the response; one track never is."""


def select(items_C: np.ndarray, catalog: Catalog, limit: int, max_per_artist: int) -> list[int]:
    """Positions of the first `limit` items, with at most `max_per_artist` of one main artist."""
    places: list[int] = cap_tracks_per_artist(catalog.main_artist_V[items_C], max_per_artist)[:limit].tolist()
    return places


def select_about_tracks(request: Request, catalog: Catalog, candidates: RequestCandidates) -> RequestCandidates:
    """The response to a request about tracks: the first candidates; artists are spaced when a playlist continues."""
    chosen = candidates.take(select(candidates.items_C, catalog, request.limit, request.scene.max_per_artist))
    if not request.is_continuation:
        return chosen
    return chosen.take(space_artists(catalog.main_artist_V[chosen.items_C]))


def select_for_user(
    request: Request,
    release: ServedRelease,
    users: UserBatch,
    candidates: RequestCandidates,
    share: float,
    listed: int,
    slots_before: int,
) -> RequestCandidates:
    """The response to a request for a user, before popular tracks and exploration.

    Args:
        request: The request.
        release: Release that answers it.
        users: The request, B = 1.
        candidates: Candidates with scores that are comparable within repeats and within discoveries.
        share: Fraction of new tracks.
        listed: Number of leading candidates that are already in today's list.
        slots_before: Plays of the session that a stream continues.
    """
    is_discovery_C = find_discoveries(users, candidates)
    # A stream is one long list, whose rarer kind is spread over the largest response.
    length = request.scene.max_limit if request.scene.excludes_session_plays else request.limit
    slots = discovery_slots(feasible_share(share, is_discovery_C, length), request.limit, slots_before)
    strength = release.blend.diversity if request.scene.is_diverse else 0.0
    places = select_slots(
        candidates.scores_C,
        is_discovery_C,
        release.catalog.main_artist_V[candidates.items_C],
        slots,
        request.scene.max_per_artist,
        release.catalog.facets.similarity(candidates.items_C) if strength else None,
        strength,
        listed,
    )
    return candidates.take(places)


def append(
    chosen: RequestCandidates, others: RequestCandidates, catalog: Catalog, limit: int, cap: int
) -> RequestCandidates:
    """The chosen tracks, followed up to `limit` by other ones in their order, at most `cap` by one artist."""
    both = chosen.concatenate(others.take(np.flatnonzero(~np.isin(others.items_C, chosen.items_C))))
    kind_C, slots = np.zeros(len(both), dtype=bool), np.zeros(limit, dtype=bool)
    artist_C = catalog.main_artist_V[both.items_C]
    return both.take(select_slots(np.zeros(len(both)), kind_C, artist_C, slots, cap, first=len(chosen)))


def find_unmet(request: Request, catalog: Catalog, users: UserBatch, chosen: RequestCandidates) -> dict[str, str]:
    """What of the request (`discovery`) and the scene (`max_per_artist`) the chosen tracks do not meet → why."""
    unmet, count = {}, len(chosen)
    if request.discovery is not None and count:
        new = int(find_discoveries(users, chosen).sum())
        if abs(new - request.discovery * count) > max(1, MAX_SHARE_ERROR * count):
            lacking = "known" if new > request.discovery * count else "new"
            unmet["discovery"] = f"{new} of {count} tracks are new to the user; there are not enough {lacking} tracks"
    artist_C, cap = catalog.main_artist_V[chosen.items_C], request.scene.max_per_artist
    most = int(np.bincount(artist_C[artist_C >= FIRST_CODE], minlength=1).max())
    if most > cap:
        unmet["max_per_artist"] = f"up to {most} tracks by one artist instead of {cap}; there are not enough artists"
    return unmet
