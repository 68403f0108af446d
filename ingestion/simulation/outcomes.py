"""User behavior model of the simulation: affinity to a track, played duration, and explicit feedback.

Shape letter: N slots.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from config.settings import load_dbt_variables
from event_store.behaviors import ACTIONS, TARGET_TYPES
from ingestion.simulation.event_buffer import SHARED, Columns, EventBuffer
from ingestion.simulation.users import MAX_INTERESTS, SimulatedUsers
from ingestion.simulation.world import Floats, Ints, World

SKIP, PARTIAL, FULL = range(3)
POSITION_DECAY = 0.5
SECOND = 1_000_000
ACTION = {name: code for code, name in enumerate(ACTIONS)}
TARGET = {name: code for code, name in enumerate(TARGET_TYPES)}


def sigmoid(x: Floats) -> Floats:
    """Logistic function."""
    return 1 / (1 + np.exp(-x))


def examination(position: Ints) -> Floats:
    """Position bias: the probability that the user looks at a position of a response."""
    return np.power(1.0 + position.astype(np.float64), -POSITION_DECAY)


def interest_share(users: SimulatedUsers, weights_UI: Floats, user_N: Ints, interest_N: Ints) -> Floats:
    """Weight of an interest for a user [N]; 0 if the user does not have it."""
    share_N = np.zeros(len(user_N))
    for slot in range(MAX_INTERESTS):  # five passes over [N] are faster than one over [N, 5]
        share_N += weights_UI[user_N, slot] * (users.interest_UI[user_N, slot] == interest_N)
    return share_N


def affinity(
    world: World,
    users: SimulatedUsers,
    user_N: Ints,
    track_N: Ints,
    share_N: Floats,
    is_known_N: np.ndarray,
    mood_interest_N: Ints,
    mood_emotion_N: Ints,
) -> Floats:
    """Affinity of a user to a track in the session's mood [N], as a logit.

    Sum of interest share, mood, artist affinity, track quality, familiarity, and membership in the soundtrack of the
    user's favorite work.
    """
    work_N = users.work_U[user_N]
    is_of_work_N = (world.tracks_WL[work_N] == track_N[:, None]).any(axis=1) & (work_N >= 0)
    return (
        -1.6
        + 1.6 * np.sqrt(share_N)
        + 0.8 * (world.interest_V[track_N] == mood_interest_N)
        + 0.9 * world.emotions_VE[track_N, mood_emotion_N]
        + 0.45 * users.artist_affinity(user_N, world.artist_V[track_N])
        + 0.35 * world.quality_V[track_N]
        + 0.5 * is_known_N
        + 2.5 * is_of_work_N
    )


def play_lengths(random: np.random.Generator, affinity_N: Floats, duration_N: Ints) -> tuple[Ints, Ints]:
    """Sample the played duration in milliseconds [N] and the outcome SKIP, PARTIAL or FULL [N].

    A full play covers at least 90 % of the track; a skip is shorter than dbt's `skip_below_ms`.
    """
    N, skip_below_ms = len(affinity_N), int(str(load_dbt_variables()["skip_below_ms"]))
    full_N = sigmoid(1.3 * affinity_N + 0.1)
    skip_N = (1 - full_N) * sigmoid(0.6 - affinity_N)
    sampled_N = random.random(N)
    outcome_N = np.where(sampled_N < full_N, FULL, np.where(sampled_N < full_N + skip_N, SKIP, PARTIAL))
    skipped_ms = np.clip(random.lognormal(np.log(7_000), 0.8, N), 300, skip_below_ms - 1)
    share_N = random.random(N)
    partial_ms = skip_below_ms + share_N * (0.88 * duration_N - skip_below_ms)
    full_ms = np.minimum(duration_N * (0.91 + 0.2 * share_N), duration_N)
    played_ms = np.choose(outcome_N, [skipped_ms, partial_ms, full_ms]).astype(np.int64)
    return played_ms, outcome_N


def add_feedback(
    random: np.random.Generator,
    world: World,
    users: SimulatedUsers,
    buffer: EventBuffer,
    played: Columns,
) -> None:
    """Add the likes, collects, shares, downloads, dislikes and blocks that follow plays; record dislikes and blocks.

    Args:
        random: Generator of the day.
        world: The catalog.
        users: State of the users; receives rejected tracks and artists.
        buffer: Receives the events.
        played: Columns of the plays, including `outcome`, `affinity` and `is_known`.
    """
    affinity_N, artist_N = played["affinity"], world.artist_V[played["target"]]
    N, is_full_N, is_skip_N = len(affinity_N), played["outcome"] == FULL, played["outcome"] == SKIP
    novelty_N = np.where(played["is_known"], 0.25, 1.0)
    chances = {
        "like": is_full_N * 0.22 * sigmoid(affinity_N - 1.0) * novelty_N,
        "collect": is_full_N * 0.12 * sigmoid(affinity_N - 1.5) * novelty_N,
        "share": is_full_N * 0.015 * sigmoid(affinity_N),
        "download": is_full_N * 0.03 * sigmoid(affinity_N) * novelty_N,
        "dislike": is_skip_N * 0.05 * sigmoid(-affinity_N - 0.5),
        "block": is_skip_N * 0.012 * sigmoid(-affinity_N - 1.0),
    }
    happened = {}

    def follow(selected: np.ndarray, action: str, target_type: str, target: Ints, delay: int) -> None:
        changed: dict[str, Any] = {"action": ACTION[action], "target_type": TARGET[target_type], "target": target}
        changed["begin"] = played["end"] + (delay + 1) * SECOND // 10  # tenths of a second after the end of the play
        buffer.add(selected, **{name: played[name] for name in SHARED} | changed)

    for delay, (action, chance_N) in enumerate(chances.items()):
        happened[action] = random.random(N) < chance_N
        target_type, target = ("artist", artist_N) if action == "block" else ("track", played["target"])
        follow(happened[action], action, target_type, target, delay)
    follows, keeps = happened["like"] & (random.random(N) < 0.08), happened["like"] & (random.random(N) < 0.06)
    follow(follows, "like", "artist", artist_N, delay=6)
    follow(keeps, "collect", "album", world.album_V[played["target"]], delay=7)
    users.record_rejections(
        played["user"],
        np.where(happened["dislike"], played["target"], -1),
        np.where(happened["block"], artist_N, -1),
    )
