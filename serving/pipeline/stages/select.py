"""Selection stage: the tracks of the response from the ranked candidates, and what the candidates did not allow.

Legend: C candidates, L slots.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recommender.catalog.catalog import Catalog
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.slots import Slots
from sequences.sequence_batch import FIRST_CODE
from serving.pipeline.request import Request

MAX_SHARE_ERROR = 0.05
"""Largest difference from the requested share of new tracks that is not named in the response; one track never is."""


def fill_slots(
    slots: Slots, ranked: CandidateTable, others: Callable[[], CandidateTable] | None, relaxes_cap: bool
) -> CandidateTable:
    """The response before exploration, in which tracks of today's list keep their slots.

    If the ranked candidates are too few, others follow. If these are not enough either and a full list is preferred to the
    cap per artist, further tracks of the same artists follow, with the smallest cap that fills the list.

    Args:
        slots: Slots of the response.
        ranked: Tracks of today's list and ranked candidates.
        others: Returns further candidates, best first; None: there are none.
        relaxes_cap: Whether a full list is preferred to the cap.
    """
    place_L = np.full(len(slots.is_discovery_L), -1)
    is_listed_C = ranked.slot_C >= 0
    place_L[ranked.slot_C[is_listed_C]] = is_listed_C.nonzero()[0]
    if (place_L < 0).any():
        place_L = slots.select(ranked, place_L)
    if others is not None and (place_L < 0).any():
        ranked = ranked.then(others())
        for excess in range(len(place_L) if relaxes_cap else 1):
            place_L = slots.select(ranked, place_L, excess)
            if (place_L >= 0).all():
                break
    return ranked.take(place_L[place_L >= 0])


def find_unmet(request: Request, catalog: Catalog, chosen: CandidateTable) -> dict[str, str]:
    """`discovery` of the request, `max_per_artist` of the scene or `artist_spacing`, if the tracks do not meet it → why."""
    unmet, count, cap = {}, len(chosen), request.scene.artist_cap
    if request.discovery is not None and count:
        new = int(chosen.is_discovery_C.sum())
        if abs(new - request.discovery * count) > max(1, MAX_SHARE_ERROR * count):
            lacking = "known" if new > request.discovery * count else "new"
            unmet["discovery"] = f"{new} of {count} tracks are new to the user; there are not enough {lacking} tracks"
    is_new_C = np.zeros(count, dtype=bool) if cap.new_tracks is None else chosen.is_discovery_C
    artist_C = catalog.main_artist_V[chosen.item_C]
    group_C, limit_C = cap.groups(artist_C, is_new_C), cap.limits(is_new_C)
    number_C = np.bincount(group_C, minlength=1)[group_C]
    if (exceeding := np.flatnonzero((group_C >= FIRST_CODE) & (number_C > limit_C))).size:
        place = exceeding[(number_C - limit_C)[exceeding].argmax()]
        what = "new tracks" if is_new_C[place] else "tracks"
        unmet["max_per_artist"] = (
            f"up to {number_C[place]} {what} by one artist instead of {limit_C[place]}; there are not enough artists"
        )
    return unmet | find_unspaced(catalog, chosen)


def find_unspaced(catalog: Catalog, chosen: CandidateTable) -> dict[str, str]:
    """`artist_spacing`, if some tracks follow one by the same artist → why."""
    artist_C = catalog.main_artist_V[chosen.item_C]
    neighbors = int(((artist_C[1:] == artist_C[:-1]) & (artist_C[1:] >= FIRST_CODE)).sum())
    if not neighbors:
        return {}
    return {"artist_spacing": f"{neighbors} tracks follow one by the same artist; there are not enough artists"}
