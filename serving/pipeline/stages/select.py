"""Selection stage: the tracks of the response from the ranked candidates, and what the candidates did not allow.

The last slots of a response are given to random new tracks with known probability. Little is known about a new track, so recall
and ranking underrate it; tracks shown at random, with logged propensities, provide unbiased feedback. Neither the response without
exploration nor the pool depends on the random draws; therefore each of n tracks gets a slot with probability 1 / n, times the
probability that the slot is explored.

Legend: C candidates, L slots.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from recommender.catalog.arrays import is_among
from recommender.catalog.catalog import Catalog
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.slots import Slots
from recommender.user.exclusions import NO_ITEMS
from sequences.sequence_batch import FIRST_CODE
from serving.pipeline.request import Request

MAX_SHARE_ERROR = 0.05
"""Largest difference from the requested share of new tracks that is not named in the response; one track never is."""


def fill_slots(
    slots: Slots, ranked: CandidateTable, others: Iterator[CandidateTable], relaxes_cap: bool
) -> CandidateTable:
    """The response before exploration, in which tracks of today's list keep their slots.

    While the candidates are too few, others follow. If these are not enough either and a full list is preferred to the cap per
    artist, further tracks of the same artists follow, with the smallest cap that fills the list.

    Args:
        slots: Slots of the response.
        ranked: Tracks of today's list and ranked candidates.
        others: Further candidates, the best tables first; only those that are needed are computed.
        relaxes_cap: Whether a full list is preferred to the cap.
    """
    place_L = np.full(len(slots.is_discovery_L), -1)
    is_listed_C = ranked.slot_C >= 0
    place_L[ranked.slot_C[is_listed_C]] = is_listed_C.nonzero()[0]
    if (place_L < 0).any():
        place_L = slots.select(ranked, place_L)
    while (place_L < 0).any() and (further := next(others, None)) is not None:
        ranked = ranked.then(further)
        place_L = slots.select(ranked, place_L)
    for excess in range(1, len(place_L) if relaxes_cap else 0):
        if (place_L >= 0).all():
            break
        place_L = slots.select(ranked, place_L, excess)
    return ranked.take(place_L[place_L >= 0])


def explore(
    chosen: CandidateTable, candidates: CandidateTable, catalog: Catalog, rate: float, seed: str
) -> CandidateTable:
    """The chosen tracks, with random new candidates in some of the last slots that no track of today's list has.

    Of these slots a fraction `rate` is explored, the last ones first: the integer part of the expected number always, one
    more with the fractional part as probability.

    Args:
        chosen: Response without exploration.
        candidates: Candidates that may be shown, including the chosen ones.
        catalog: Catalog of the release.
        rate: Fraction of the slots, 0 to 1.
        seed: Equal seeds give equal draws.
    """
    open_slots = np.flatnonzero(chosen.slot_C < 0)
    expected = rate * len(open_slots)
    pool = _new_track_pool(chosen, candidates, catalog) if expected > 0 else NO_ITEMS
    certain = math.floor(expected)
    if len(pool) < 2:  # a single track would not be a random choice
        return chosen
    generator = np.random.default_rng(int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=16).digest(), "big"))
    has_extra_slot = generator.random() < expected - certain
    explored = candidates.take(generator.permutation(pool)[: min(certain + has_extra_slot, len(open_slots))])
    slot_probability_C = np.where(np.arange(len(explored)) < certain, 1.0, expected - certain)
    explored = replace(explored, propensity_C=slot_probability_C / len(pool))
    order = np.arange(len(chosen))
    order[open_slots[len(open_slots) - len(explored) :]] = len(chosen) + np.arange(len(explored))[::-1]
    return chosen.then(explored).take(order)


def _new_track_pool(chosen: CandidateTable, candidates: CandidateTable, catalog: Catalog) -> np.ndarray:
    """Positions of new candidates, the best one of each artist who is not in the response: any subset may be added."""
    places = (catalog.is_new_V[candidates.item_C] & candidates.is_discovery_C).nonzero()[0]
    artist_C, chosen_artists = (catalog.main_artist_V[table.item_C] for table in (candidates.take(places), chosen))
    is_known_C = artist_C >= FIRST_CODE
    _, first, number_C = np.unique(artist_C, return_index=True, return_inverse=True)
    is_taken_C = np.where(
        is_known_C, is_among(artist_C, chosen_artists), is_among(candidates.item_C[places], chosen.item_C)
    )
    return places[~is_taken_C & (~is_known_C | (first[number_C] == np.arange(len(places))))]


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
