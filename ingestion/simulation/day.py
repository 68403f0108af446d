"""Simulates one day: samples sessions, their tracks, the plays and the events that follow.

Shape letters: S sessions, N slots (positions of tracks in all sessions), E events, U users, I interests of a user.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingestion.simulation import sessions as session
from ingestion.simulation.event_buffer import SHARED, Columns, EventBuffer
from ingestion.simulation.exposures import AvailableTracks, InterestGroups, show_collections
from ingestion.simulation.outcomes import (
    ACTION,
    SECOND,
    SKIP,
    TARGET,
    add_feedback,
    affinity,
    examination,
    interest_share,
    play_lengths,
    sigmoid,
)
from ingestion.simulation.sessions import Sessions
from ingestion.simulation.users import SimulatedUsers
from ingestion.simulation.world import PLAYLIST_LENGTH, Floats, Ints, World

MAX_SESSION_US = 105 * session.MINUTE  # shorter than a part of the day, so that sessions never overlap
BREAK_SHARE = 0.03  # of the tracks after which a user stops listening for 20 to 50 minutes
FM_TRACKS = 3  # tracks per private-FM response
EXPLORATION_SHARE = 0.1  # fraction of recommended tracks sampled from the whole catalog
REPEAT_SHARES = {session.PRIVATE_FM: 0.35, session.DAILY: 0.15}  # fraction sampled from the user's play history
PLAYLISTS_PER_RESPONSE, MLOGS_PER_RESPONSE = 8, 6


def simulate_day(world: World, users: SimulatedUsers, day: int, seed: int) -> Columns:
    """Return all events of a day, ordered by user and time, and update the state of the users."""
    random = np.random.default_rng([seed, 3, day])
    users.start_day(day)
    weights_UI = users.interest_weights()
    buffer, available = EventBuffer(), AvailableTracks(world, day)
    sessions = Sessions(random, users, day)
    # Request numbers: one per session, and one more for each further private-FM response.
    opened_S, songs_S = _show_collections(random, world, users, weights_UI, sessions, buffer)
    session_N, number_N = session.expand_slots(songs_S)
    mood_interest_N, mood_emotion_N = session.draw_moods(random, world, users, sessions, session_N, number_N)
    track_N = _choose_tracks(
        random, world, users, weights_UI, available, sessions, session_N, number_N, opened_S, mood_interest_N
    )

    kind_N, user_N = sessions.product_scene_S[session_N], sessions.user_S[session_N]
    response_N = np.where(kind_N == session.PRIVATE_FM, number_N // FM_TRACKS, 0)
    request_N = session_N * 16 + response_N
    is_valid = (track_N >= 0) & available.is_available_V[track_N] & ~users.is_rejected(user_N, np.maximum(track_N, 0))
    is_recommended_N = np.isin(kind_N, (session.PRIVATE_FM, session.DAILY, session.SIMILAR))
    is_valid &= _first_in_response(np.where(is_recommended_N, request_N, -1), track_N, world.tracks)
    session_N, number_N, track_N, request_N = (
        session_N[is_valid],
        number_N[is_valid],
        track_N[is_valid],
        request_N[is_valid],
    )
    mood_interest_N, mood_emotion_N = mood_interest_N[is_valid], mood_emotion_N[is_valid]
    kind_N, user_N, is_recommended_N = kind_N[is_valid], user_N[is_valid], is_recommended_N[is_valid]

    is_known_N = users.is_known(user_N, track_N)
    share_N = interest_share(users, weights_UI, user_N, world.interest_V[track_N])
    affinity_N = affinity(world, users, user_N, track_N, share_N, is_known_N, mood_interest_N, mood_emotion_N)
    position_N = np.where(kind_N == session.PRIVATE_FM, number_N % FM_TRACKS, number_N)
    is_examined_N = random.random(len(affinity_N)) < examination(position_N) * sigmoid(1.2 * affinity_N)
    is_played_N = (kind_N != session.DAILY) | is_examined_N
    played_ms, outcome_N = play_lengths(random, affinity_N, world.duration_ms_V[track_N])
    length_N = np.where(is_played_N, played_ms * 1000, -1)
    ends_response_N = ~is_recommended_N | np.append(request_N[1:] != request_N[:-1], True)
    start_N = _start_times(random, sessions, session_N, kind_N, length_N, ends_response_N)

    is_valid = start_N - sessions.start_S[session_N] < MAX_SESSION_US
    slots: Columns = {
        "user": user_N,
        "target": track_N,
        "begin": start_N,
        "end": start_N + played_ms * 1000,
        "played_ms": played_ms,
        "outcome": outcome_N,
        "scene": kind_N,
        "request": np.where(is_recommended_N, request_N, -1),
        "position": np.where(is_recommended_N, position_N, -1),
        "device": sessions.device_S[session_N],
        "context_type": _context_types(kind_N),
        "context": np.where(kind_N == session.SIMILAR, sessions.seed_S[session_N], opened_S[session_N]),
        "affinity": affinity_N,
        "is_played": is_played_N,
        "is_known": is_known_N,
    }
    _emit(random, world, users, buffer, {name: values[is_valid] for name, values in slots.items()})
    return buffer.columns()


def _show_collections(
    random: np.random.Generator,
    world: World,
    users: SimulatedUsers,
    weights_UI: Floats,
    sessions: Sessions,
    buffer: EventBuffer,
) -> tuple[Ints, Ints]:
    """Show playlists and mlogs; return the collection opened in each session (-1: none) and its number of tracks."""
    opened_S = np.full(len(sessions.user_S), -1)
    songs_S = sessions.tracks_S.copy()
    shown = (
        (session.PLAYLISTS, "playlist", PLAYLISTS_PER_RESPONSE, world.interest_P),
        (session.MLOG, "mlog", MLOGS_PER_RESPONSE, world.interest_V[world.track_M]),
    )
    for kind, target_type, places, interest in shown:
        at = np.flatnonzero(sessions.product_scene_S == kind)
        groups = InterestGroups(interest, world.interests)
        opened_S[at] = show_collections(
            random, users, weights_UI, groups, interest, sessions, at, at * 16, buffer, target_type, places
        )
    is_shown_S = np.isin(sessions.product_scene_S, (session.PLAYLISTS, session.MLOG))
    songs_S[is_shown_S & (opened_S < 0)] = 0
    is_video_S = sessions.product_scene_S == session.MLOG
    songs_S[is_video_S] = np.minimum(songs_S[is_video_S], 1) * (random.random(is_video_S.sum()) < 0.5)
    return opened_S, songs_S


def _choose_tracks(
    random: np.random.Generator,
    world: World,
    users: SimulatedUsers,
    weights_UI: Floats,
    available: AvailableTracks,
    sessions: Sessions,
    session_N: Ints,
    number_N: Ints,
    opened_S: Ints,
    mood_interest_N: Ints,
) -> Ints:
    """Track of each slot [N], sampled according to the product scene; -1 if there is none."""
    kind_N, user_N, N = sessions.product_scene_S[session_N], sessions.user_S[session_N], len(session_N)
    drawn_N = random.random(N)
    in_mood_N = available.sample_by_interest(random, mood_interest_N)

    # Library: a track of the play history that fits the mood, otherwise a new one that does; sometimes a soundtrack.
    remembered_N = users.sample_repeat(random, user_N)
    for _ in range(2):
        again_N = users.sample_repeat(random, user_N)
        fits_N = (remembered_N >= 0) & (world.interest_V[remembered_N] == mood_interest_N)
        remembered_N = np.where(fits_N, remembered_N, again_N)
    work_N = users.work_U[user_N]
    soundtrack_N = world.tracks_WL[work_N, random.integers(0, world.tracks_WL.shape[1], N)]
    library_N = np.where((drawn_N < 0.68) & (remembered_N >= 0), remembered_N, in_mood_N)
    library_N = np.where((drawn_N > 0.93) & (work_N >= 0), soundtrack_N, library_N)

    # Recommendations: some repeats, some exploration, the rest by the user's interests, independent of the mood.
    usual_N = available.sample_by_interest(random, users.draw_interests(random, weights_UI, user_N))
    recommended_N = np.where(drawn_N < EXPLORATION_SHARE, available.sample_uniform(random, N), usual_N)
    recalled_N = users.sample_repeat(random, user_N)
    repeats_N = np.select([kind_N == kind for kind in REPEAT_SHARES], list(REPEAT_SHARES.values()), 0.0)
    recommended_N = np.where((drawn_N >= 1 - repeats_N) & (recalled_N >= 0), recalled_N, recommended_N)

    # Similar tracks: of the seed's artist or interest.
    seed_N = sessions.seed_S[session_N]
    first_A = np.searchsorted(world.artist_V, np.arange(len(world.interest_A) + 1))
    artist_N = world.artist_V[seed_N]
    same_artist_N = first_A[artist_N] + (random.random(N) * np.diff(first_A)[artist_N]).astype(np.int64)
    similar_N = np.where(drawn_N < 0.5, same_artist_N, in_mood_N)

    opened_N = opened_S[session_N]
    start_S = random.integers(0, PLAYLIST_LENGTH, len(sessions.user_S))
    is_list_N, is_video_N = kind_N == session.PLAYLISTS, kind_N == session.MLOG
    listed_N = world.tracks_PL[np.where(is_list_N, opened_N, 0), (start_S[session_N] + number_N) % PLAYLIST_LENGTH]
    return np.select(
        [kind_N == session.LIBRARY, is_list_N, is_video_N, kind_N == session.SIMILAR],
        [library_N, listed_N, world.track_M[np.where(is_video_N, opened_N, 0)], similar_N],
        recommended_N,
    )


def _start_times(
    random: np.random.Generator,
    sessions: Sessions,
    session_N: Ints,
    kind_N: Ints,
    length_N: Ints,
    ends_response_N: NDArray[np.bool_],
) -> Ints:
    """Start of each track in microseconds after midnight [N]: consecutive with pauses; unplayed slots (-1) are empty.

    Pauses are short, except for breaks, of which some are longer than the session gap. A break does not divide a response.
    """
    pause_N = 2 * SECOND + random.integers(0, 3 * SECOND, len(session_N))
    is_break_N = ends_response_N & (random.random(len(session_N)) < BREAK_SHARE)
    pause_N = np.where(is_break_N, random.integers(20 * session.MINUTE, 50 * session.MINUTE, len(session_N)), pause_N)
    elapsed_N = np.where(length_N >= 0, length_N + pause_N, 0)
    total_N = elapsed_N.cumsum() - elapsed_N
    is_first_N = np.diff(session_N, prepend=-1) > 0
    base_N = np.maximum.accumulate(np.where(is_first_N, total_N, 0))
    lead_N = np.where(
        kind_N == session.MLOG, 150 * SECOND, np.where(kind_N == session.PLAYLISTS, 6 * SECOND, 3 * SECOND)
    )
    return sessions.start_S[session_N] + lead_N + total_N - base_N


def _emit(
    random: np.random.Generator, world: World, users: SimulatedUsers, buffer: EventBuffer, slots: Columns
) -> None:
    """Add impressions, clicks, plays and feedback of slots ordered by session and time."""
    shared = {name: slots[name] for name in SHARED} | {"target_type": TARGET["track"]}
    # A response is shown one second before its first track starts, so that no timestamps are equal.
    request, inverse = np.unique(slots["request"], return_inverse=True)
    first_at = np.full(len(request), np.iinfo(np.int64).max)
    np.minimum.at(first_at, inverse, slots["begin"])
    buffer.add(slots["request"] >= 0, action=ACTION["impression"], begin=first_at[inverse] - SECOND, **shared)
    is_played, begin = slots["is_played"], slots["begin"]
    is_clicked = is_played & (slots["scene"] == session.DAILY)
    buffer.add(is_clicked, action=ACTION["click"], begin=begin - SECOND // 4, **shared)
    play: dict[str, Any] = {
        "action": ACTION["play"],
        "begin": begin,
        "end": slots["end"],
        "played_ms": slots["played_ms"],
    }
    buffer.add(is_played, **shared | play)
    played = {name: values[is_played] for name, values in slots.items()}
    add_feedback(random, world, users, buffer, played)
    is_listened = played["outcome"] != SKIP
    users.record_plays(played["user"][is_listened], played["target"][is_listened])


def _first_in_response(request_N: Ints, track_N: Ints, tracks: int) -> np.ndarray:
    """Whether a track occurs for the first time in its response [N]; always true for slots without one (-1)."""
    _, first = np.unique(request_N * tracks + track_N, return_index=True)
    is_first = np.zeros(len(track_N), bool)
    is_first[first] = True
    return is_first | (request_N < 0)


def _context_types(kind_N: Ints) -> Ints:
    types = {session.PLAYLISTS: "playlist", session.MLOG: "mlog", session.SIMILAR: "track"}
    return np.select([kind_N == kind for kind in types], [TARGET[name] for name in types.values()], -1)
