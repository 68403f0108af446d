"""Samples the tracks and collections (playlists, mlogs) that users are shown, and simulates the impressions of collections.

Samplers draw by interest or uniformly. Impressions are followed by clicks, collects
and likes.

Shape letters: N samples or impressions, K interests, V tracks, P collections, S sessions, U users, I interests of a user.
"""

from __future__ import annotations

import numpy as np

from ingestion.simulation.event_buffer import EventBuffer
from ingestion.simulation.outcomes import ACTION, SECOND, TARGET, examination, interest_share, sigmoid
from ingestion.simulation.sessions import Sessions
from ingestion.simulation.users import SimulatedUsers
from ingestion.simulation.world import Floats, Ints, World

EXPLORATION_SHARE = 0.1
NEW_DAYS, NEW_BOOST = 14, 3.0  # weight multiplier of tracks in their first days


class AvailableTracks:
    """Tracks available on a day, grouped by interest and weighted by popularity; new tracks are boosted."""

    def __init__(self, world: World, day: int) -> None:
        self.is_available_V = (world.first_day_V <= day) & (world.last_day_V > day)
        is_new_V = (world.first_day_V >= 0) & (day - world.first_day_V < NEW_DAYS)
        weight_V = world.popularity_V * np.where(is_new_V, NEW_BOOST, 1.0) * self.is_available_V
        self._order = np.argsort(world.interest_V, kind="stable")
        self._cumulative: Floats = np.r_[0.0, weight_V[self._order].cumsum()]
        self._bounds_K = np.searchsorted(world.interest_V[self._order], np.arange(world.interests + 1))
        self._total_K = np.diff(self._cumulative[self._bounds_K])
        self._available = np.flatnonzero(self.is_available_V)

    def sample_by_interest(self, random: np.random.Generator, interest_N: Ints) -> Ints:
        """Sample a track of each interest by popularity [N]; -1 if none is available."""
        low_N = self._cumulative[self._bounds_K[interest_N]]
        at_N = low_N + random.random(len(interest_N)) * self._total_K[interest_N]
        place_N = np.searchsorted(self._cumulative, at_N, side="right") - 1
        place_N = np.minimum(place_N, self._bounds_K[interest_N + 1] - 1)
        return np.where(self._total_K[interest_N] > 0, self._order[np.maximum(place_N, 0)], -1)

    def sample_uniform(self, random: np.random.Generator, count: int) -> Ints:
        """Sample available tracks uniformly [N]."""
        return self._available[random.integers(0, len(self._available), count)]


class InterestGroups:
    """Playlists or mlogs grouped by interest and sampled uniformly within it."""

    def __init__(self, interest_P: Ints, interests: int) -> None:
        self._order = np.argsort(interest_P, kind="stable")
        self._bounds_K = np.searchsorted(interest_P[self._order], np.arange(interests + 1))
        self._count_K = np.diff(self._bounds_K)

    def draw(self, random: np.random.Generator, interest_N: Ints, explore: float) -> Ints:
        """Sample a collection of each interest [N], or any with probability `explore` or if the interest has none."""
        own_N = self._bounds_K[interest_N] + (random.random(len(interest_N)) * self._count_K[interest_N]).astype(
            np.int64
        )
        any_N = random.integers(0, len(self._order), len(interest_N))
        use_any_N = (random.random(len(interest_N)) < explore) | (self._count_K[interest_N] == 0)
        return np.where(use_any_N, any_N, self._order[np.minimum(own_N, len(self._order) - 1)])


def show_collections(
    random: np.random.Generator,
    users: SimulatedUsers,
    weights_UI: Floats,
    groups: InterestGroups,
    interest_P: Ints,
    sessions: Sessions,
    at: Ints,
    request_S: Ints,
    buffer: EventBuffer,
    target_type: str,
    places: int,
) -> Ints:
    """Show playlists or mlogs in the sessions `at` and add impressions, clicks, likes and collects to `buffer`.

    Clicks depend on the position bias and on the user's interest.

    Args:
        random: Generator of the day.
        users: State of the users.
        weights_UI: Weight of each interest of each user.
        groups: The collections by interest.
        interest_P: Interest of each collection.
        sessions: Sessions of the day.
        at: Indices of the sessions with this product scene.
        request_S: Request number of each of these sessions.
        buffer: Receives the events.
        target_type: "playlist" or "mlog".
        places: Number of collections per response.

    Returns:
        First clicked collection of each of the sessions; -1 if none.
    """
    S = len(at)
    user_N = np.repeat(sessions.user_S[at], places)
    position_N = np.tile(np.arange(places), S)
    interest_N = users.draw_interests(random, weights_UI, user_N)
    shown_N = groups.draw(random, interest_N, EXPLORATION_SHARE)
    # Remove duplicates within a response.
    session_N = np.repeat(np.arange(S), places)
    _, first = np.unique(session_N * len(interest_P) + shown_N, return_index=True)
    rows = np.sort(first)
    user_N, position_N, shown_N, session_N = user_N[rows], position_N[rows], shown_N[rows], session_N[rows]

    share_N = interest_share(users, weights_UI, user_N, interest_P[shown_N])
    affinity_N = 3.0 * np.sqrt(share_N) - 1.6
    is_clicked_N = random.random(len(affinity_N)) < examination(position_N) * sigmoid(affinity_N)
    shown_at_N = sessions.start_S[at][session_N] + SECOND
    shared = {
        "user": user_N,
        "target": shown_N,
        "target_type": TARGET[target_type],
        "scene": sessions.product_scene_S[at][session_N],
        "request": request_S[session_N],
        "device": sessions.device_S[at][session_N],
        "position": position_N,
    }
    buffer.add(np.arange(len(user_N)), action=ACTION["impression"], begin=shown_at_N, **shared)
    clicks = np.flatnonzero(is_clicked_N)
    _, first_click = np.unique(session_N[clicks], return_index=True)
    opened = clicks[first_click]
    clicked_S = np.full(S, -1)
    clicked_S[session_N[opened]] = shown_N[opened]
    if target_type == "playlist":
        clicks = opened  # at most one playlist per session is opened
    clicked_at = shown_at_N + (2 + 20 * position_N * (target_type == "mlog")) * SECOND
    buffer.add(clicks, action=ACTION["click"], begin=clicked_at, **shared)
    keeping = clicks[random.random(len(clicks)) < 0.12 * sigmoid(affinity_N[clicks])]
    kept = ACTION["collect" if target_type == "playlist" else "like"]
    buffer.add(keeping, action=kept, begin=clicked_at + SECOND, **shared)
    return clicked_S
