"""Samples tracks, playlists and mlogs by interest or uniformly, and computes the sampling probabilities.

Shape letters: K interests, V tracks, P collections, N samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingestion.simulation.world import Floats, Ints, World

NEW_DAYS, NEW_BOOST = 14, 3.0  # weight multiplier of tracks in their first days


class AvailableTracks:
    """Tracks available on a day, grouped by interest and weighted by popularity; new tracks are boosted."""

    def __init__(self, world: World, day: int) -> None:
        self.is_available_V = (world.first_day_V <= day) & (world.last_day_V > day)
        is_new_V = (world.first_day_V >= 0) & (day - world.first_day_V < NEW_DAYS)
        self._weight_V = world.popularity_V * np.where(is_new_V, NEW_BOOST, 1.0) * self.is_available_V
        self._order = np.argsort(world.interest_V, kind="stable")
        self._cumulative: Floats = np.r_[0.0, self._weight_V[self._order].cumsum()]
        self._bounds_K = np.searchsorted(world.interest_V[self._order], np.arange(world.interests + 1))
        self._total_K = np.diff(self._cumulative[self._bounds_K])
        self._available = np.flatnonzero(self.is_available_V)
        self._interest_V = world.interest_V

    def sample_by_interest(self, random: np.random.Generator, interest_N: Ints) -> Ints:
        """Sample a track of each interest by popularity [N]; -1 if none is available."""
        low_N = self._cumulative[self._bounds_K[interest_N]]
        at_N = low_N + random.random(len(interest_N)) * self._total_K[interest_N]
        place_N = np.searchsorted(self._cumulative, at_N, side="right") - 1
        place_N = np.minimum(place_N, self._bounds_K[interest_N + 1] - 1)
        return np.where(self._total_K[interest_N] > 0, self._order[np.maximum(place_N, 0)], -1)

    def probability_in_interest(self, track_N: Ints) -> Floats:
        """Probability of a track given its interest [N]."""
        total_N = self._total_K[self._interest_V[track_N]]
        probability_N: Floats = np.divide(
            self._weight_V[track_N], total_N, out=np.zeros(len(track_N)), where=total_N > 0
        )
        return probability_N

    def sample_uniform(self, random: np.random.Generator, count: int) -> Ints:
        """Sample available tracks uniformly [N]."""
        drawn: Ints = self._available[random.integers(0, len(self._available), count)]
        return drawn

    @property
    def size(self) -> int:
        """Number of available tracks."""
        return len(self._available)


class InterestGroups:
    """Playlists or mlogs grouped by interest and sampled uniformly within it."""

    def __init__(self, interest_P: Ints, interests: int) -> None:
        self._order = np.argsort(interest_P, kind="stable")
        self._bounds_K = np.searchsorted(interest_P[self._order], np.arange(interests + 1))
        self._count_K = np.diff(self._bounds_K)
        self._interest_P = interest_P

    def draw(self, random: np.random.Generator, interest_N: Ints, explore: float) -> Ints:
        """Sample a collection of each interest [N], or any with probability `explore` or if the interest has none."""
        own_N = self._bounds_K[interest_N] + (random.random(len(interest_N)) * self._count_K[interest_N]).astype(
            np.int64
        )
        any_N = random.integers(0, len(self._order), len(interest_N))
        use_any_N = (random.random(len(interest_N)) < explore) | (self._count_K[interest_N] == 0)
        return np.where(use_any_N, any_N, self._order[np.minimum(own_N, len(self._order) - 1)])

    def probability(self, drawn_N: Ints, interest_share_N: Floats, empty_share_N: Floats, explore: float) -> Floats:
        """Probability of the sampled collections [N].

        Args:
            drawn_N: The collections.
            interest_share_N: The user's weight of their interest.
            empty_share_N: The user's weight of interests without collections.
            explore: Exploration probability.
        """
        within_N = interest_share_N / self._count_K[self._interest_P[drawn_N]]
        probability_N: Floats = (explore + (1 - explore) * empty_share_N) / len(self._order) + (1 - explore) * within_N
        return probability_N

    @property
    def is_empty_K(self) -> NDArray[np.bool_]:
        """Whether an interest has no collections [K]."""
        is_empty: NDArray[np.bool_] = self._count_K == 0
        return is_empty
