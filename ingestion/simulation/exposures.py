"""Playlists and short videos that are shown, clicked, collected and liked; what is clicked leads to plays.

Shape letters: S sessions, R places in an answer, N shown things, K interests.
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
    listeners: SimulatedUsers,
    weights_UI: Floats,
    groups: InterestGroups,
    interest_P: Ints,
    sessions: Sessions,
    at: Ints,
    request_S: Ints,
    stream: EventBuffer,
    target_type: str,
    places: int,
) -> Ints:
    """Shows `places` playlists or mlogs in each of the sessions `at`; gives the first one clicked in each session, -1
    if none.

    Adds impressions, clicks, likes and collects to `stream`; clicks depend on the planted position bias and on
    interest.
    """
    S = len(at)
    clicked_S = np.full(S, -1)
    if S == 0:
        return clicked_S
    user_N = np.repeat(sessions.user_S[at], places)
    position_N = np.tile(np.arange(places), S)
    drawn_I = (weights_UI[user_N].cumsum(axis=1) < random.random((len(user_N), 1))).sum(axis=1)
    interest_N = listeners.interest_UI[user_N, np.minimum(drawn_I, weights_UI.shape[1] - 1)]
    shown_N = groups.draw(random, interest_N, EXPLORATION_SHARE)
    # The same thing twice in one answer would be one line too many.
    session_N = np.repeat(np.arange(S), places)
    _, first = np.unique(session_N * len(interest_P) + shown_N, return_index=True)
    kept = np.sort(first)
    user_N, position_N, shown_N, session_N = user_N[kept], position_N[kept], shown_N[kept], session_N[kept]

    share_N = interest_share(listeners, weights_UI, user_N, interest_P[shown_N])
    empty_UI = groups.is_empty_K[listeners.interest_UI] * weights_UI
    propensity_N = groups.probability(shown_N, share_N, empty_UI.sum(axis=1)[user_N], EXPLORATION_SHARE)
    fit_N = 3.0 * np.sqrt(share_N) - 1.6
    is_clicked_N = random.random(len(fit_N)) < examination(position_N) * sigmoid(fit_N)
    shown_at_N = sessions.start_S[at][session_N] + SECOND
    same = {
        "target_type": TARGET[target_type],
        "scene": sessions.product_scene_S[at][session_N],
        "request": request_S[session_N],
        "device": sessions.device_S[at][session_N],
        "position": position_N,
        "propensity": propensity_N,
    }
    stream.add(
        user_N, action=ACTION["impression"], target=shown_N, begin=shown_at_N, affinity=fit_N.astype(np.float32), **same
    )
    clicks = np.flatnonzero(is_clicked_N)
    _, first_click = np.unique(session_N[clicks], return_index=True)
    if target_type == "playlist":
        clicks = clicks[first_click]  # one playlist is opened and listened to
        clicked_S[session_N[clicks]] = shown_N[clicks]
    else:
        clicked_S[session_N[clicks[first_click]]] = shown_N[clicks[first_click]]
    clicked_at = shown_at_N + (2 + 20 * position_N * (target_type == "mlog")) * SECOND
    _add_actions(stream, "click", clicks, user_N, shown_N, clicked_at, same)
    keeping = clicks[random.random(len(clicks)) < 0.12 * sigmoid(fit_N[clicks])]
    _add_actions(
        stream, "collect" if target_type == "playlist" else "like", keeping, user_N, shown_N, clicked_at + SECOND, same
    )
    return clicked_S


def _add_actions(
    stream: EventBuffer,
    action: str,
    chosen: Ints,
    user_N: Ints,
    shown_N: Ints,
    at_N: Ints,
    same: dict[str, np.ndarray | int],
) -> None:
    columns = {name: value[chosen] if isinstance(value, np.ndarray) else value for name, value in same.items()}
    stream.add(user_N[chosen], action=ACTION[action], target=shown_N[chosen], begin=at_N[chosen], **columns)
