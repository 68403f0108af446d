"""Simulates impressions of playlists and mlogs, and their clicks, collects and likes.

Shape letters: S sessions, N impressions, K interests, P collections, U users, I interests of a user.
"""

from __future__ import annotations

import numpy as np

from ingestion.simulation.event_buffer import EventBuffer
from ingestion.simulation.item_sampling import InterestGroups
from ingestion.simulation.outcomes import ACTION, SECOND, TARGET, examination, interest_share, sigmoid
from ingestion.simulation.sessions import Sessions
from ingestion.simulation.users import SimulatedUsers
from ingestion.simulation.world import Floats, Ints

EXPLORATION_SHARE = 0.1


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
    clicked_S = np.full(S, -1)
    if S == 0:
        return clicked_S
    user_N = np.repeat(sessions.user_S[at], places)
    position_N = np.tile(np.arange(places), S)
    drawn_I = (weights_UI[user_N].cumsum(axis=1) < random.random((len(user_N), 1))).sum(axis=1)
    interest_N = users.interest_UI[user_N, np.minimum(drawn_I, weights_UI.shape[1] - 1)]
    shown_N = groups.draw(random, interest_N, EXPLORATION_SHARE)
    # Remove duplicates within a response.
    session_N = np.repeat(np.arange(S), places)
    _, first = np.unique(session_N * len(interest_P) + shown_N, return_index=True)
    rows = np.sort(first)
    user_N, position_N, shown_N, session_N = user_N[rows], position_N[rows], shown_N[rows], session_N[rows]

    share_N = interest_share(users, weights_UI, user_N, interest_P[shown_N])
    empty_UI = groups.is_empty_K[users.interest_UI] * weights_UI
    propensity_N = groups.probability(shown_N, share_N, empty_UI.sum(axis=1)[user_N], EXPLORATION_SHARE)
    affinity_N = 3.0 * np.sqrt(share_N) - 1.6
    is_clicked_N = random.random(len(affinity_N)) < examination(position_N) * sigmoid(affinity_N)
    shown_at_N = sessions.start_S[at][session_N] + SECOND
    shared = {
        "target_type": TARGET[target_type],
        "scene": sessions.product_scene_S[at][session_N],
        "request": request_S[session_N],
        "device": sessions.device_S[at][session_N],
        "position": position_N,
        "propensity": propensity_N,
    }
    buffer.add(
        user_N,
        action=ACTION["impression"],
        target=shown_N,
        begin=shown_at_N,
        affinity=affinity_N.astype(np.float32),
        **shared,
    )
    clicks = np.flatnonzero(is_clicked_N)
    _, first_click = np.unique(session_N[clicks], return_index=True)
    if target_type == "playlist":
        clicks = clicks[first_click]  # at most one playlist per session is opened
        clicked_S[session_N[clicks]] = shown_N[clicks]
    else:
        clicked_S[session_N[clicks[first_click]]] = shown_N[clicks[first_click]]
    clicked_at = shown_at_N + (2 + 20 * position_N * (target_type == "mlog")) * SECOND
    _add_actions(buffer, "click", clicks, user_N, shown_N, clicked_at, shared)
    keeping = clicks[random.random(len(clicks)) < 0.12 * sigmoid(affinity_N[clicks])]
    _add_actions(
        buffer,
        "collect" if target_type == "playlist" else "like",
        keeping,
        user_N,
        shown_N,
        clicked_at + SECOND,
        shared,
    )
    return clicked_S


def _add_actions(
    buffer: EventBuffer,
    action: str,
    selected: Ints,
    user_N: Ints,
    shown_N: Ints,
    at_N: Ints,
    shared: dict[str, np.ndarray | int],
) -> None:
    columns = {name: value[selected] if isinstance(value, np.ndarray) else value for name, value in shared.items()}
    buffer.add(user_N[selected], action=ACTION[action], target=shown_N[selected], begin=at_N[selected], **columns)
