"""What a listener makes of a song: how well it fits, how long it plays, what is said about it.

Shape letter: N slots.
"""

from __future__ import annotations

import numpy as np

from ingestion import contract
from ingestion.simulation.event_buffer import EventBuffer
from ingestion.simulation.sessions import Moods
from ingestion.simulation.users import MAX_INTERESTS, SimulatedUsers
from ingestion.simulation.world import Floats, Ints, World

SKIP, PARTIAL, FULL = range(3)
SKIP_BELOW_MS = 30_000
POSITION_DECAY = 0.5
SECOND = 1_000_000
ACTION = {name: code for code, name in enumerate(contract.ACTIONS)}
TARGET = {name: code for code, name in enumerate(contract.TARGET_TYPES)}


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def examination(position: Ints) -> Floats:
    """Planted position bias: the chance that the place in an answer is looked at at all."""
    chance: Floats = np.power(1.0 + position.astype(np.float64), -POSITION_DECAY)
    return chance


def interest_share(listeners: SimulatedUsers, weights_UI: Floats, user_N: Ints, interest_N: Ints) -> Floats:
    """The user's weight on an interest [N], 0 if it is not theirs."""
    share_N = np.zeros(len(user_N))
    for place in range(MAX_INTERESTS):  # five passes over [N] are faster than one over [N, 5]
        share_N += weights_UI[user_N, place] * (listeners.interest_UI[user_N, place] == interest_N)
    return share_N


def affinity(
    world: World,
    listeners: SimulatedUsers,
    user_N: Ints,
    track_N: Ints,
    share_N: Floats,
    is_known_N: np.ndarray,
    moods: Moods,
) -> Floats:
    """How well a song fits a user now [N], in logits: interest, mood, artist, quality, familiarity, soundtrack of a
    loved work.
    """
    interest_N = world.interest_V[track_N]
    mood_N = world.emotions_VE[track_N, moods.emotion_N]
    work_N = listeners.work_U[user_N]
    is_of_work_N = (world.tracks_WL[work_N] == track_N[:, None]).any(axis=1) & (work_N >= 0)
    fit: Floats = (
        -1.6
        + 1.6 * np.sqrt(share_N)
        + 0.8 * (interest_N == moods.interest_N)
        + 0.9 * mood_N
        + 0.45 * listeners.artist_affinity(user_N, world.artist_V[track_N])
        + 0.35 * world.quality_V[track_N]
        + 0.5 * is_known_N
        + 2.5 * is_of_work_N
    )
    return fit


def play_lengths(random: np.random.Generator, fit_N: Floats, duration_N: Ints) -> tuple[Ints, Ints]:
    """Milliseconds played and SKIP, PARTIAL or FULL. A full play covers at least 90 % of the song, a skip under 30 s."""
    N = len(fit_N)
    full_N = sigmoid(1.3 * fit_N + 0.1)
    skip_N = (1 - full_N) * sigmoid(0.6 - fit_N)
    drawn_N = random.random(N)
    outcome_N = np.where(drawn_N < full_N, FULL, np.where(drawn_N < full_N + skip_N, SKIP, PARTIAL))
    skipped_ms = np.clip(random.lognormal(np.log(7_000), 0.8, N), 300, SKIP_BELOW_MS - 1)
    share_N = random.random(N)
    partial_ms = SKIP_BELOW_MS + share_N * (0.88 * duration_N - SKIP_BELOW_MS)
    full_ms = np.minimum(duration_N * (0.91 + 0.2 * share_N), duration_N)
    played_ms = np.choose(outcome_N, [skipped_ms, partial_ms, full_ms]).astype(np.int64)
    return played_ms, outcome_N


def add_feedback(
    random: np.random.Generator,
    world: World,
    listeners: SimulatedUsers,
    stream: EventBuffer,
    played: dict[str, np.ndarray],
    is_known_N: np.ndarray,
) -> None:
    """Adds likes, collects, shares, downloads, dislikes and blocks that follow plays; refusals are remembered.

    `played` has the columns of the plays and `outcome`.
    """
    fit_N = played["affinity"].astype(np.float64)
    N, is_full_N, is_skip_N = len(fit_N), played["outcome"] == FULL, played["outcome"] == SKIP
    novelty_N = np.where(is_known_N, 0.25, 1.0)
    chances = {
        "like": is_full_N * 0.22 * sigmoid(fit_N - 1.0) * novelty_N,
        "collect": is_full_N * 0.12 * sigmoid(fit_N - 1.5) * novelty_N,
        "share": is_full_N * 0.015 * sigmoid(fit_N),
        "download": is_full_N * 0.03 * sigmoid(fit_N) * novelty_N,
        "dislike": is_skip_N * 0.05 * sigmoid(-fit_N - 0.5),
        "block": is_skip_N * 0.012 * sigmoid(-fit_N - 1.0),
    }
    happened = {}
    for wait, (action, chance_N) in enumerate(chances.items()):
        happened[action] = chosen = random.random(N) < chance_N
        target_type = "artist" if action == "block" else "track"
        target = world.artist_V[played["target"]] if action == "block" else played["target"]
        _add_followup_events(stream, played, chosen, action, target_type, target, wait)
    liked = happened["like"]
    follows, keeps = liked & (random.random(N) < 0.08), liked & (random.random(N) < 0.06)
    _add_followup_events(stream, played, follows, "like", "artist", world.artist_V[played["target"]], wait=6)
    _add_followup_events(stream, played, keeps, "collect", "album", world.album_V[played["target"]], wait=7)
    refused = happened["dislike"] | happened["block"]
    listeners.record_rejections(
        played["user"][refused],
        np.where(happened["dislike"], played["target"], -1)[refused],
        np.where(happened["block"], world.artist_V[played["target"]], -1)[refused],
    )


def _add_followup_events(
    stream: EventBuffer,
    played: dict[str, np.ndarray],
    chosen: np.ndarray,
    action: str,
    target_type: str,
    target: Ints,
    wait: int,
) -> None:
    """An event about a play that has just ended, in the same context."""
    same = ("scene", "context_type", "context", "request", "position", "device")
    stream.add(
        played["user"][chosen],
        action=ACTION[action],
        target_type=TARGET[target_type],
        target=target[chosen],
        begin=played["end"][chosen] + (wait + 1) * SECOND // 10,
        **{name: played[name][chosen] for name in same},
    )
