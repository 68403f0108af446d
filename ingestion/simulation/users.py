"""Simulated users: drifting interests, habits and play history.

Shape letters: U users, I interests of a user, H plays in the history, K interests of the world, P parts of the day, N
slots.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingestion.simulation import facets
from ingestion.simulation.world import Floats, Ints, World, draw_columns, rank_in_group

MAX_INTERESTS = 5
HISTORY_LENGTH = 128
DRIFT = 0.12  # standard deviation of the daily random step of an interest's logit
MEAN_REVERSION = 0.05  # daily reversion of a logit to its level
INTEREST_SWAP_CHANCE = 0.006  # daily probability that a user's weakest interest is replaced by a new one
DORMANCY_DAYS = 80.0  # period of the interests that become dormant and active again
ABSENT_LOGIT = -1e9
LAG_DECAY = 0.6  # a play at lag j in the history is repeated with weight (j + 1)^-0.6


class SimulatedUsers:
    """State of all users, updated by `start_day`, `record_plays` and `record_rejections`."""

    def __init__(self, world: World, users: int, days: int, seed: int) -> None:
        self._random = np.random.default_rng([seed, 2])
        self._world, self.users = world, users
        random, K = self._random, world.interests
        count_U = random.choice(np.arange(1, MAX_INTERESTS + 1), users, p=[0.15, 0.25, 0.3, 0.2, 0.1])
        fame_K = 1 / np.arange(1, K + 1) ** 0.5
        # Gumbel top-k trick: interests sampled without replacement, weighted by popularity.
        self.interest_UI: Ints = (np.log(fame_K) + random.gumbel(size=(users, K))).argsort(axis=1)[:, ::-1][
            :, :MAX_INTERESTS
        ]
        is_there_UI = np.arange(MAX_INTERESTS) < count_U[:, None]
        self.level_UI: Floats = np.where(is_there_UI, random.normal(0, 0.7, (users, MAX_INTERESTS)), ABSENT_LOGIT)
        self.logit_UI: Floats = self.level_UI.copy()
        self._is_dormant_UI = random.random((users, MAX_INTERESTS)) < 0.2
        self._phase_UI = random.random((users, MAX_INTERESTS))

        parts = len(facets.DAY_PARTS)
        activity_U = np.clip(random.lognormal(np.log(0.045), 0.7, users), 0.008, 0.5)
        habit_UP = random.dirichlet(np.full(parts, 0.8), users) * parts
        self.session_chance_UP: Floats = np.clip(activity_U[:, None] * habit_UP, 0, 0.9)
        choices = np.array([[facets.SCENES.index(part[n % len(part)]) for n in range(4)] for part in facets.DAY_PARTS])
        self.scene_UP: Ints = choices[np.arange(parts), random.integers(0, 4, (users, parts))]
        self.work_U: Ints = np.where(random.random(users) < 0.4, random.integers(0, len(world.tracks_WL), users), -1)
        late_U = random.random(users) < 0.2  # users who join during the simulated period
        self.first_day_U: Ints = np.where(late_U, random.integers(0, days, users), 0)
        self.artist_affinity_seed_U: Ints = random.integers(1, 2**31, users)

        self.play_history_UH: NDArray[np.int32] = np.full((users, HISTORY_LENGTH), -1, np.int32)
        self.plays_U: Ints = np.zeros(users, np.int64)
        self.sequence_U: Ints = np.zeros(users, np.int64)
        self._disliked_tracks: Ints = np.empty(0, np.int64)
        self._blocked_artists: Ints = np.empty(0, np.int64)

    def interest_weights(self) -> Floats:
        """Weight of each interest of each user [U, I]; rows sum to 1, absent interests have 0."""
        raised = np.exp(self.logit_UI - self.logit_UI.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)

    def draw_interests(self, random: np.random.Generator, weights_UI: Floats, user_N: Ints) -> Ints:
        """Sample one of each user's interests by weight [N]."""
        return self.interest_UI[user_N, draw_columns(random, weights_UI.cumsum(axis=1), user_N)]

    def start_day(self, day: int) -> None:
        """Let interests drift and replace some of them."""
        random = self._random
        wave_UI = np.where(self._is_dormant_UI, 2 * np.sin(2 * np.pi * (day / DORMANCY_DAYS + self._phase_UI)), 0)
        pull_UI = MEAN_REVERSION * (self.level_UI + wave_UI - self.logit_UI)
        moved_UI = self.logit_UI + pull_UI + random.normal(0, DRIFT, self.logit_UI.shape)
        self.logit_UI = np.where(self.level_UI > ABSENT_LOGIT, moved_UI, ABSENT_LOGIT)
        swapping = np.flatnonzero(random.random(self.users) < INTEREST_SWAP_CHANCE)
        weakest = np.where(self.level_UI > ABSENT_LOGIT, self.logit_UI, np.inf).argmin(axis=1)[swapping]
        new = random.integers(0, self._world.interests, len(swapping))
        fresh = (self.interest_UI[swapping] != new[:, None]).all(axis=1)
        swapping, weakest, new = swapping[fresh], weakest[fresh], new[fresh]
        self.interest_UI[swapping, weakest] = new
        self.level_UI[swapping, weakest] = random.normal(0.3, 0.5, len(swapping))
        self.logit_UI[swapping, weakest] = -1.0

    def sample_repeat(self, random: np.random.Generator, user_N: Ints) -> Ints:
        """Sample a track from each user's play history [N], weighted by recency and frequency; -1 without history."""
        known_N = np.minimum(self.plays_U[user_N], HISTORY_LENGTH)
        total = np.r_[0.0, LAG_WEIGHT.cumsum()]
        lag_N = np.searchsorted(total, random.random(len(user_N)) * total[known_N], side="right") - 1
        lag_N = np.minimum(lag_N, np.maximum(known_N - 1, 0))
        slot_N = (self.plays_U[user_N] - 1 - lag_N) % HISTORY_LENGTH
        return np.where(known_N > 0, self.play_history_UH[user_N, slot_N], -1).astype(np.int64)

    def is_known(self, user_N: Ints, track_N: Ints) -> NDArray[np.bool_]:
        """Whether the track is in the user's play history [N]."""
        return (self.play_history_UH[user_N] == track_N[:, None].astype(np.int32)).any(axis=1)

    def record_plays(self, user_N: Ints, track_N: Ints) -> None:
        """Add plays, ordered by user and time, to the history."""
        slot_N = (self.plays_U[user_N] + rank_in_group(user_N)) % HISTORY_LENGTH
        self.play_history_UH[user_N, slot_N] = track_N
        self.plays_U += np.bincount(user_N, minlength=self.users)

    def record_rejections(self, user_N: Ints, track_N: Ints, artist_N: Ints) -> None:
        """Record disliked tracks and blocked artists [N], -1: none. They are never played again."""
        tracks = user_N[track_N >= 0] * self._world.tracks + track_N[track_N >= 0]
        artists = user_N[artist_N >= 0] * self._world.tracks + artist_N[artist_N >= 0]
        self._disliked_tracks = np.union1d(self._disliked_tracks, tracks)
        self._blocked_artists = np.union1d(self._blocked_artists, artists)

    def is_rejected(self, user_N: Ints, track_N: Ints) -> NDArray[np.bool_]:
        """Whether the user has disliked the track or blocked its artist before today."""
        first_N, artist_N = user_N * self._world.tracks, self._world.artist_V[track_N]
        is_disliked_N = np.isin(first_N + track_N, self._disliked_tracks)
        return is_disliked_N | np.isin(first_N + artist_N, self._blocked_artists)

    def artist_affinity(self, user_N: Ints, artist_N: Ints) -> Floats:
        """Fixed affinity of a user to an artist independent of all facets [N]; about standard normal."""
        mixed = (self.artist_affinity_seed_U[user_N] * 2_654_435_761 + artist_N * 40_503_000_127) & 0xFFFFFFFFFFFF
        mixed = (mixed ^ (mixed >> 21)) * 0x9E3779B97F4A7 & 0xFFFFFFFFFFFF
        uniform = ((mixed ^ (mixed >> 17)) & 0xFFFFFF) / 0x1000000
        return (uniform - 0.5) * 12**0.5


LAG_WEIGHT = (np.arange(HISTORY_LENGTH) + 1.0) ** -LAG_DECAY
