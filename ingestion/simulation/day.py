"""One simulated day: sessions become slots, slots songs, songs plays and what follows from them.

Shape letters: S sessions, N slots, E events.
"""

from __future__ import annotations

import numpy as np

from ingestion.simulation import sessions as session
from ingestion.simulation.event_buffer import Columns, EventBuffer
from ingestion.simulation.exposures import show_collections
from ingestion.simulation.item_sampling import AvailableTracks, InterestGroups
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
from ingestion.simulation.sessions import Moods, Sessions
from ingestion.simulation.users import SimulatedUsers
from ingestion.simulation.world import PLAYLIST_LENGTH, Floats, Ints, World

MAX_SESSION_US = 75 * session.MINUTE  # shorter than a part of the day: sessions never overlap
FM_TRACKS = 3  # songs of one private-FM answer
EXPLORATION_SHARE = 0.1  # share of our answers drawn from the whole catalogue
REPEAT_SHARES = {session.PRIVATE_FM: 0.35, session.DAILY: 0.15}  # share drawn from what the user remembers
PLAYLISTS_PER_RESPONSE, MLOGS_PER_RESPONSE = 8, 6


def simulate_day(world: World, listeners: SimulatedUsers, day: int, seed: int) -> Columns:
    """All events of a day, ordered by user and time; moves the listeners on by a day."""
    random = np.random.default_rng([seed, 3, day])
    listeners.start_day(day)
    weights_UI = listeners.interest_weights()
    stream, shelf = EventBuffer(), AvailableTracks(world, day)
    sessions = session.draw_sessions(random, listeners, day)
    # Request numbers: one a session, plus further ones for each further private-FM answer.
    opened_S, songs_S = _show_collections(random, world, listeners, weights_UI, sessions, stream)
    session_N, number_N = session.expand_slots(songs_S)
    if len(session_N) == 0:
        return stream.columns()
    moods = session.draw_moods(random, world, listeners, sessions, session_N, number_N)
    track_N = _choose_tracks(
        random, world, listeners, weights_UI, shelf, sessions, session_N, number_N, opened_S, moods
    )

    kind_N, user_N = sessions.product_scene_S[session_N], sessions.user_S[session_N]
    answer_N = np.where(kind_N == session.PRIVATE_FM, number_N // FM_TRACKS, 0)
    request_N = session_N * 16 + answer_N
    kept = (track_N >= 0) & shelf.is_available_V[track_N] & ~listeners.is_rejected(user_N, np.maximum(track_N, 0))
    is_ours_N = np.isin(kind_N, (session.PRIVATE_FM, session.DAILY, session.SIMILAR))
    kept &= _first_in_response(np.where(is_ours_N, request_N, -1), track_N, world.tracks)
    session_N, number_N, track_N, request_N = session_N[kept], number_N[kept], track_N[kept], request_N[kept]
    moods = Moods(moods.interest_N[kept], moods.emotion_N[kept])
    kind_N, user_N, is_ours_N = kind_N[kept], user_N[kept], is_ours_N[kept]

    memory_N = listeners.repeat_probability(user_N, track_N)
    share_N = interest_share(listeners, weights_UI, user_N, world.interest_V[track_N])
    fit_N = affinity(world, listeners, user_N, track_N, share_N, memory_N > 0, moods)
    position_N = np.where(kind_N == session.PRIVATE_FM, number_N % FM_TRACKS, number_N)
    is_looked_at = random.random(len(fit_N)) < examination(position_N) * sigmoid(1.2 * fit_N)
    is_played_N = (kind_N != session.DAILY) | is_looked_at
    played_ms, outcome_N = play_lengths(random, fit_N, world.duration_ms_V[track_N])
    begin_N = _start_times(random, sessions, session_N, kind_N, np.where(is_played_N, played_ms * 1000, -1))

    kept = begin_N - sessions.start_S[session_N] < MAX_SESSION_US
    slots: Columns = {
        "user": user_N,
        "target": track_N,
        "begin": begin_N,
        "played_ms": played_ms,
        "outcome": outcome_N,
        "scene": kind_N,
        "request": np.where(is_ours_N, request_N, -1),
        "position": np.where(is_ours_N, position_N, -1),
        "propensity": _propensities(world, listeners, shelf, sessions, session_N, kind_N, track_N, share_N, memory_N),
        "device": sessions.device_S[session_N],
        "context_type": _context_types(kind_N),
        "context": np.where(kind_N == session.SIMILAR, sessions.seed_S[session_N], opened_S[session_N]),
        "affinity": fit_N,
        "mood_interest": moods.interest_N,
        "mood_emotion": moods.emotion_N,
        "is_played": is_played_N,
        "is_known": memory_N > 0,
    }
    _emit(random, world, listeners, stream, {name: values[kept] for name, values in slots.items()})
    return stream.columns()


def _show_collections(
    random: np.random.Generator,
    world: World,
    listeners: SimulatedUsers,
    weights_UI: Floats,
    sessions: Sessions,
    stream: EventBuffer,
) -> tuple[Ints, Ints]:
    """Shows playlists and mlogs; gives what was opened in each session and how many songs each session has."""
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
            random, listeners, weights_UI, groups, interest, sessions, at, at * 16, stream, target_type, places
        )
    is_shown_S = np.isin(sessions.product_scene_S, (session.PLAYLISTS, session.MLOG))
    songs_S[is_shown_S & (opened_S < 0)] = 0
    is_video_S = sessions.product_scene_S == session.MLOG
    songs_S[is_video_S] = np.minimum(songs_S[is_video_S], 1) * (random.random(is_video_S.sum()) < 0.5)
    return opened_S, songs_S


def _choose_tracks(
    random: np.random.Generator,
    world: World,
    listeners: SimulatedUsers,
    weights_UI: Floats,
    shelf: AvailableTracks,
    sessions: Sessions,
    session_N: Ints,
    number_N: Ints,
    opened_S: Ints,
    moods: Moods,
) -> Ints:
    """The song of each slot, by the rule of its part of the product; -1 where there is none."""
    kind_N, user_N, N = sessions.product_scene_S[session_N], sessions.user_S[session_N], len(session_N)
    drawn_N = random.random(N)
    in_mood_N = shelf.sample_by_interest(random, moods.interest_N)

    # The library: what the user remembers and is in the mood for, else something of the mood, now and then a soundtrack.
    remembered_N = listeners.sample_repeat(random, user_N)
    for _ in range(2):
        again_N = listeners.sample_repeat(random, user_N)
        fits_N = (remembered_N >= 0) & (world.interest_V[remembered_N] == moods.interest_N)
        remembered_N = np.where(fits_N, remembered_N, again_N)
    work_N = listeners.work_U[user_N]
    soundtrack_N = world.tracks_WL[work_N, random.integers(0, world.tracks_WL.shape[1], N)]
    library_N = np.where((drawn_N < 0.68) & (remembered_N >= 0), remembered_N, in_mood_N)
    library_N = np.where((drawn_N > 0.93) & (work_N >= 0), soundtrack_N, library_N)

    # Our answers: a share from memory, a share from anywhere, the rest by the user's interests, whatever the mood.
    drawn_I = (weights_UI[user_N].cumsum(axis=1) < random.random((N, 1))).sum(axis=1)
    usual_N = shelf.sample_by_interest(
        random, listeners.interest_UI[user_N, np.minimum(drawn_I, weights_UI.shape[1] - 1)]
    )
    ours_N = np.where(drawn_N < EXPLORATION_SHARE, shelf.sample_uniform(random, N), usual_N)
    recalled_N = listeners.sample_repeat(random, user_N)
    repeats_N = _repeat_share(kind_N)
    ours_N = np.where((drawn_N >= 1 - repeats_N) & (recalled_N >= 0), recalled_N, ours_N)

    # Similar songs: of the seed's artist, or of its interest.
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
        ours_N,
    )


def _propensities(
    world: World,
    listeners: SimulatedUsers,
    shelf: AvailableTracks,
    sessions: Sessions,
    session_N: Ints,
    kind_N: Ints,
    track_N: Ints,
    share_N: Floats,
    memory_N: Floats,
) -> Floats:
    """Probability with which the rule of `_songs` drew the song, for our answers; NaN elsewhere.

    Before songs that are withdrawn, refused or already in the answer are taken out.
    """
    within_N = shelf.probability_in_interest(track_N)
    has_memory_N = listeners.plays_U[sessions.user_S[session_N]] > 0
    repeats_N = _repeat_share(kind_N) * has_memory_N
    ours_N = (
        EXPLORATION_SHARE / shelf.size + (1 - EXPLORATION_SHARE - repeats_N) * share_N * within_N + repeats_N * memory_N
    )
    seed_N = sessions.seed_S[session_N]
    songs_A = np.bincount(world.artist_V, minlength=len(world.interest_A))
    artist_N = world.artist_V[track_N]
    similar_N = 0.5 * (world.artist_V[seed_N] == artist_N) / songs_A[artist_N]
    similar_N = similar_N + 0.5 * (world.interest_V[seed_N] == world.interest_V[track_N]) * within_N
    is_ours_N = np.isin(kind_N, (session.PRIVATE_FM, session.DAILY))
    return np.where(is_ours_N, ours_N, np.where(kind_N == session.SIMILAR, similar_N, np.nan))


def _start_times(
    random: np.random.Generator, sessions: Sessions, session_N: Ints, kind_N: Ints, length_N: Ints
) -> Ints:
    """When each song begins: one after another, with short gaps; slots that are not played (-1) take no time."""
    gap_N = 2 * SECOND + random.integers(0, 3 * SECOND, len(session_N))
    takes_N = np.where(length_N >= 0, length_N + gap_N, 0)
    total_N = takes_N.cumsum() - takes_N
    is_first_N = np.r_[True, session_N[1:] != session_N[:-1]] if len(session_N) else np.zeros(0, bool)
    base_N = np.maximum.accumulate(np.where(is_first_N, total_N, 0))
    lead_N = np.where(
        kind_N == session.MLOG, 150 * SECOND, np.where(kind_N == session.PLAYLISTS, 6 * SECOND, 3 * SECOND)
    )
    begins: Ints = sessions.start_S[session_N] + lead_N + total_N - base_N
    return begins


def _emit(
    random: np.random.Generator, world: World, listeners: SimulatedUsers, stream: EventBuffer, slots: Columns
) -> None:
    """Impressions, clicks, plays and what follows, from slots ordered by session and time."""
    track = TARGET["track"]
    ours = slots["request"] >= 0
    shown = {name: slots[name][ours] for name in slots}
    # An answer is shown when its first song begins; a second earlier, so that nothing ties with it.
    answer, inverse = np.unique(shown["request"], return_inverse=True)
    first_at = np.full(len(answer), np.iinfo(np.int64).max)
    np.minimum.at(first_at, inverse, shown["begin"])
    truth = ("affinity", "mood_interest", "mood_emotion")
    same = ("target", "scene", "context_type", "context", "request", "position", "propensity", "device", *truth)
    stream.add(
        shown["user"],
        action=ACTION["impression"],
        target_type=track,
        begin=first_at[inverse] - SECOND,
        **{name: shown[name] for name in same},
    )
    played = {name: values[slots["is_played"]] for name, values in slots.items()}
    played["end"] = played["begin"] + played["played_ms"] * 1000
    chosen = played["scene"] == session.DAILY
    stream.add(
        played["user"][chosen],
        action=ACTION["click"],
        target_type=track,
        begin=played["begin"][chosen] - SECOND // 4,
        **{name: played[name][chosen] for name in same},
    )
    stream.add(
        played["user"],
        action=ACTION["play"],
        target_type=track,
        begin=played["begin"],
        end=played["end"],
        played_ms=played["played_ms"],
        **{name: played[name] for name in same},
    )
    add_feedback(random, world, listeners, stream, played, played["is_known"])
    heard = played["outcome"] != SKIP
    listeners.record_plays(played["user"][heard], played["target"][heard])


def _repeat_share(kind_N: Ints) -> Floats:
    return np.select([kind_N == kind for kind in REPEAT_SHARES], list(REPEAT_SHARES.values()), 0.0)


def _first_in_response(request_N: Ints, track_N: Ints, tracks: int) -> np.ndarray:
    """False for a song that the same answer already holds; slots without an answer (-1) are all kept."""
    _, first = np.unique(request_N * tracks + track_N, return_index=True)
    is_first = np.zeros(len(track_N), bool)
    is_first[first] = True
    return is_first | (request_N < 0)


def _context_types(kind_N: Ints) -> Ints:
    types = {session.PLAYLISTS: "playlist", session.MLOG: "mlog", session.SIMILAR: "track"}
    return np.select([kind_N == kind for kind in types], [TARGET[name] for name in types.values()], -1)
