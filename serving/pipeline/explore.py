"""The places that chance fills: the last ones of an answer, with new tracks, each of which was as likely to get there.

New tracks are found by the channels like others, but what is believed of them comes from nobody's listening. To learn
what they are worth some must be shown that would not have been, and it must be known how likely that was. What an answer
would be without chance, and from which tracks chance draws, does not depend on its draws; so one of n tracks is drawn for
a place with probability 1 / n, times the chance that the place is drawn for at all. Knows nothing about filters: it is
given what may be shown.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import replace

import numpy as np

from serving.pipeline.fuse import RequestCandidates
from training.data.catalog import Catalog


def explore(
    chosen: RequestCandidates,
    candidates: RequestCandidates,
    catalogue: Catalog,
    per_artist: int,
    share: float,
    first: int,
    seed: str,
) -> RequestCandidates:
    """The chosen tracks, some of the last of them replaced by new ones of the candidates, as `explored` says.

    Of the places from `first` on `share` are drawn for: the whole part of that many for certain, one more with the
    probability that is the rest. Equal seeds draw alike.

    Args:
        chosen: the answer without chance.
        candidates: whatever may be shown, the chosen among them.
        per_artist: most tracks of one main artist in the answer.
    """
    pool = _pool(chosen, candidates, catalogue, per_artist)
    expected = share * (len(chosen) - first)
    certain = math.floor(expected)
    if expected <= 0 or len(pool) < 2:  # where one track is all there is, nothing is drawn
        return chosen
    chance = np.random.default_rng(int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=16).digest(), "big"))
    is_one_more = chance.random() < expected - certain
    drawn = chance.permutation(pool)[: min(certain + is_one_more, len(chosen) - first)]
    explored = dict(chosen.exploration_propensity)
    for number, place in enumerate(drawn.tolist()):
        certainty = 1.0 if number < certain else expected - certain
        explored[int(candidates.items_C[place])] = certainty / len(pool)
    kept = chosen.top_k(len(chosen) - len(drawn)).concatenate(candidates.take(drawn[::-1]))
    return replace(kept, exploration_propensity=explored)


def _pool(chosen: RequestCandidates, candidates: RequestCandidates, catalogue: Catalog, per_artist: int) -> list[int]:
    """Places of the new candidates that are not chosen, the best of each artist who has room: any of them may be taken together."""
    chosen_items, room = set(chosen.items_C.tolist()), Counter(catalogue.main_artist_V[chosen.items_C].tolist())
    pool: list[int] = []
    for place in np.flatnonzero(catalogue.is_new_V[candidates.items_C]).tolist():
        item = int(candidates.items_C[place])
        artist = int(catalogue.main_artist_V[item])
        if item in chosen_items or (artist >= 2 and room[artist] >= per_artist):
            continue
        pool.append(place)
        room[artist] = per_artist
    return pool
