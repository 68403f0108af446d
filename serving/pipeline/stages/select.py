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
from training.slate.artist_cap import ArtistCap, space_artists
from training.slate.discovery_slots import discovery_slots, feasible_share
from training.slate.mmr_selection import select_slots

MAX_SHARE_ERROR = 0.05
"""Largest difference from the requested share of new tracks that is not named in the response; one track never is."""


def select(items_C: np.ndarray, catalog: Catalog, limit: int, max_per_artist: int) -> list[int]:
    """Positions of the first `limit` items, with at most `max_per_artist` of one main artist."""
    cap, is_new_C = ArtistCap(max_per_artist), np.zeros(len(items_C), dtype=bool)
    places: list[int] = cap.first_tracks(catalog.main_artist_V[items_C], is_new_C)[:limit].tolist()
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
        request.scene.artist_cap,
        release.catalog.facets.similarity(candidates.items_C) if strength else None,
        strength,
        listed,
    )
    return candidates.take(places)


def append(
    chosen: RequestCandidates,
    others: RequestCandidates,
    catalog: Catalog,
    users: UserBatch,
    limit: int,
    cap: ArtistCap,
) -> RequestCandidates:
    """The chosen tracks, followed up to `limit` by other ones in their order that are within the cap per artist."""
    both = chosen.concatenate(others.take(np.flatnonzero(~np.isin(others.items_C, chosen.items_C))))
    allowed = cap.first_tracks(catalog.main_artist_V[both.items_C], _count_as_new(cap, users, both))
    return both.take(np.union1d(np.arange(len(chosen)), allowed)[:limit])


def find_unmet(request: Request, catalog: Catalog, users: UserBatch, chosen: RequestCandidates) -> dict[str, str]:
    """What of the request (`discovery`) and the scene (`max_per_artist`) the chosen tracks do not meet → why."""
    unmet, count, cap = {}, len(chosen), request.scene.artist_cap
    if request.discovery is not None and count:
        new = int(find_discoveries(users, chosen).sum())
        if abs(new - request.discovery * count) > max(1, MAX_SHARE_ERROR * count):
            lacking = "known" if new > request.discovery * count else "new"
            unmet["discovery"] = f"{new} of {count} tracks are new to the user; there are not enough {lacking} tracks"
    is_new_C = _count_as_new(cap, users, chosen)
    group_C, limit_C = cap.groups(catalog.main_artist_V[chosen.items_C], is_new_C), cap.limits(is_new_C)
    number_C = np.bincount(group_C, minlength=1)[group_C]
    if (exceeding := np.flatnonzero((group_C >= FIRST_CODE) & (number_C > limit_C))).size:
        place = exceeding[(number_C - limit_C)[exceeding].argmax()]
        what = "new tracks" if is_new_C[place] else "tracks"
        unmet["max_per_artist"] = (
            f"up to {number_C[place]} {what} by one artist instead of {limit_C[place]}; there are not enough artists"
        )
    return unmet


def _count_as_new(cap: ArtistCap, users: UserBatch, candidates: RequestCandidates) -> np.ndarray:
    """Which candidates count as new tracks, bool [C]; none if the cap does not distinguish them."""
    return np.zeros(len(candidates), dtype=bool) if cap.new_tracks is None else find_discoveries(users, candidates)
