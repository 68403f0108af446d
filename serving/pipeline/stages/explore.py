"""Exploration: the last slots of a response, given to random new tracks with known probability.

Little is known about a new track, so recall and ranking underrate it. Showing some new tracks at random, with logged
propensities, provides unbiased feedback. Neither the response without exploration nor the pool depends on the random draws;
therefore each of n tracks gets a slot with probability 1 / n, times the probability that the slot is explored.
Receives filtered candidates; independent of filters.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np

from recommender.catalog.arrays import is_among
from recommender.catalog.catalog import Catalog
from recommender.slate.candidate_table import CandidateTable
from recommender.user.profile_exclusions import NO_ITEMS
from sequences.sequence_batch import FIRST_CODE


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
    pool: np.ndarray = places[~is_taken_C & (~is_known_C | (first[number_C] == np.arange(len(places))))]
    return pool
