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

from sequences.sequence_batch import FIRST_CODE
from serving.pipeline.stages.fuse import RequestCandidates
from training.data.catalog import Catalog


def explore(
    chosen: RequestCandidates,
    candidates: RequestCandidates,
    catalog: Catalog,
    rate: float,
    open_slots: np.ndarray,
    seed: str,
) -> RequestCandidates:
    """The chosen tracks, with random new candidates in some of the last slots.

    Of the open slots a fraction `rate` is explored, the last ones first: the integer part of the expected number always,
    one more with the fractional part as probability.

    Args:
        chosen: Response without exploration.
        candidates: All candidates that may be shown, including the chosen ones.
        catalog: Catalog of the release.
        rate: Fraction of the slots, 0 to 1.
        open_slots: Slots that may be explored, ascending.
        seed: Equal seeds give equal draws.

    Returns:
        Candidates whose `exploration_propensity` has the probability of each explored track.
    """
    pool = _new_track_pool(chosen, candidates, catalog)
    expected = rate * len(open_slots)
    certain = math.floor(expected)
    if expected <= 0 or len(pool) < 2:  # a single track would not be a random choice
        return chosen
    generator = np.random.default_rng(int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=16).digest(), "big"))
    has_extra_slot = generator.random() < expected - certain
    explored_places = generator.permutation(pool)[: min(certain + has_extra_slot, len(open_slots))]
    propensity = dict(chosen.exploration_propensity)
    for number, place in enumerate(explored_places.tolist()):
        slot_probability = 1.0 if number < certain else expected - certain
        propensity[int(candidates.items_C[place])] = slot_probability / len(pool)
    order = np.arange(len(chosen))
    order[open_slots[len(open_slots) - len(explored_places) :]] = len(chosen) + np.arange(len(explored_places))[::-1]
    explored = chosen.concatenate(candidates.take(explored_places)).take(order)
    return replace(explored, exploration_propensity=propensity)


def _new_track_pool(chosen: RequestCandidates, candidates: RequestCandidates, catalog: Catalog) -> list[int]:
    """Positions of new candidates, the best one of each artist who is not in the response: any subset may be added."""
    chosen_items, artists = set(chosen.items_C.tolist()), set(catalog.main_artist_V[chosen.items_C].tolist())
    pool: list[int] = []
    for place in np.flatnonzero(catalog.is_new_V[candidates.items_C]).tolist():
        item = int(candidates.items_C[place])
        artist = int(catalog.main_artist_V[item])
        if item in chosen_items or (artist >= FIRST_CODE and artist in artists):
            continue
        pool.append(place)
        artists.add(artist)
    return pool
