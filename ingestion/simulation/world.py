"""Catalog of the simulation as index arrays: interests, artists, tracks, albums, playlists, mlogs, soundtracks.

An *interest* is a language and a style with typical emotions and scenes. Artists belong to an interest, tracks usually
to their artist's interest; a soundtrack connects artists of different interests. `catalog_rows.py` adds ids and names. Shape
letters: K interests, A artists, V tracks, P playlists, M mlogs, W works, E emotions, S scenes, L list length, D vector
width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingestion.simulation import facets

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

AUDIO_WIDTH, IMAGE_WIDTH = 16, 8
PLAYLIST_LENGTH = 30
OST_TRACKS = 5  # tracks in the soundtrack of a work, of different interests if possible


class World:
    """Catalog of a simulation; equal arguments give equal catalogs.

    Days count from the first simulated day; negative days are before it.

    Raises:
        ValueError: Fewer than 100 tracks (some interests would have none) or no day.
    """

    def __init__(self, tracks: int, days: int, seed: int) -> None:
        if tracks < 100 or days < 1:
            raise ValueError(
                f"{tracks} tracks and {days} days are not enough to simulate; use at least 100 tracks and 1 day"
            )
        random = np.random.default_rng([seed, 1])
        K, A = int(np.clip(tracks // 60, len(facets.FIRST_INTERESTS), 48)), max(tracks // 8, 16)
        self.tracks, self.interests = tracks, K
        self.language_K, self.style_K = _interests(random, K)
        self.emotions_KE: Floats = random.dirichlet(
            np.full(len(facets.EMOTIONS), 0.35), K
        )  # probability of each emotion
        self.scenes_KS = random.random((K, len(facets.SCENES))).argsort(axis=1) < 4  # that suit the interest
        self.interest_A: Ints = random.permutation(np.arange(A) % K)
        popularity_A = random.lognormal(0, 1.0, A)

        more = random.choice(A, tracks - A, p=popularity_A / popularity_A.sum())
        self.artist_V: Ints = np.sort(np.concatenate([np.arange(A), more]))
        strays = random.random(tracks) < 0.1  # a track outside its artist's usual interest
        interest_V = np.where(strays, random.integers(0, K, tracks), self.interest_A[self.artist_V])
        number_V = rank_in_group(self.artist_V)
        self.album_V: Ints = np.unique(self.artist_V * 10_000 + number_V // 8, return_inverse=True)[1].astype(np.int64)
        again = (number_V > 0) & (random.random(tracks) < 0.04)  # a recording released a second time
        self.recording_V: Ints = np.where(again, np.arange(tracks) - 1, np.arange(tracks))
        self.interest_V: Ints = np.where(again, np.roll(interest_V, 1), interest_V)

        self.emotions_VE = _emotions(random, self.emotions_KE, self.interest_V)
        own_scenes = random.random((tracks, len(facets.SCENES))) < 0.6
        self.scenes_VS: NDArray[np.bool_] = own_scenes & self.scenes_KS[self.interest_V]
        self.tracks_WL = _soundtracks(random, self.interest_V, popularity_A[self.artist_V], works=max(3, A // 25))
        self.theme_V: Ints = np.where(random.random(tracks) < 0.3, random.integers(0, len(facets.THEMES), tracks), -1)
        self.theme_V[self.theme_V == facets.SOUNDTRACK] = -1  # none
        self.theme_V[self.tracks_WL.ravel()] = facets.SOUNDTRACK
        self.quality_V: Floats = random.normal(0, 1, tracks)
        self.first_day_V, self.last_day_V = _availability(random, self.artist_V, A, days)
        playlists = max(tracks // 25, 2 * K)
        self.tracks_PL, self.interest_P = _playlists(random, self.interest_V, K, playlists)
        fame_V = popularity_A[self.artist_V] * random.lognormal(0, 0.9, tracks)
        self.popularity_V: Floats = fame_V * np.exp(0.4 * self.quality_V)
        length_V = np.clip(random.lognormal(np.log(215_000), 0.25, tracks), 90_000, 480_000)
        self.duration_ms_V: Ints = length_V.astype(np.int64)
        self.is_explicit_V = random.random(tracks) < 0.06
        self.is_editorial_P = random.random(playlists) < 0.4
        self.track_M: Ints = random.choice(tracks, max(tracks // 20, 10), replace=False)
        self.audio_VD, self.image_VD = _vectors(random, self.interest_V, self.emotions_VE, self.artist_V, self.album_V)


def _interests(random: np.random.Generator, K: int) -> tuple[Ints, Ints]:
    first = [
        (facets.LANGUAGES.index(language), facets.STYLES.index(style)) for language, style in facets.FIRST_INTERESTS
    ]
    everything = [(language, style) for language in range(len(facets.LANGUAGES)) for style in range(len(facets.STYLES))]
    rest = [pair for pair in everything if pair not in first]
    pairs = np.array(first + [rest[index] for index in random.permutation(len(rest))])[:K]
    return pairs[:, 0], pairs[:, 1]


def _emotions(random: np.random.Generator, emotions_KE: Floats, interest_V: Ints) -> NDArray[np.bool_]:
    """One or two emotions per track [V, E], sampled from its interest's."""
    emotions_VE = np.zeros((len(interest_V), emotions_KE.shape[1]), bool)
    rows = np.arange(len(interest_V))
    for _ in range(2):
        emotions_VE[rows, draw_columns(random, emotions_KE.cumsum(axis=1), interest_V)] = True
    return emotions_VE


def _availability(random: np.random.Generator, artist_V: Ints, A: int, days: int) -> tuple[Ints, Ints]:
    """First and last day of each track [V]: most exist before the period, some appear and a few are withdrawn in it."""
    V = len(artist_V)
    first_day_V = -random.integers(1, 15 * 365, V)
    is_new_V = (random.random(V) < 0.10) & (days > 3)
    is_new_V |= (random.random(A) < 0.04)[artist_V] & (days > 3)  # artists whose first track appears in the period
    first_day_V = np.where(is_new_V, random.integers(1, max(days, 2), V), first_day_V)
    is_withdrawn_V = random.random(V) < 0.005
    last_day_V = np.where(is_withdrawn_V, np.maximum(first_day_V, 0) + random.integers(1, days + 1, V), 10**6)
    return first_day_V, last_day_V


def _playlists(random: np.random.Generator, interest_V: Ints, K: int, playlists: int) -> tuple[Ints, Ints]:
    """Tracks of each playlist [P, L] and its interest [P]; 10 % of the tracks are from any interest."""
    by_interest = [np.flatnonzero(interest_V == k) for k in range(K)]
    interest_P = np.arange(playlists) % K
    tracks_PL = np.stack([random.choice(by_interest[k], PLAYLIST_LENGTH) for k in interest_P])
    strays = random.random(tracks_PL.shape) < 0.1
    return np.where(strays, random.integers(0, len(interest_V), tracks_PL.shape), tracks_PL), interest_P


def _soundtracks(random: np.random.Generator, interest_V: Ints, weight_V: Floats, works: int) -> Ints:
    """Soundtrack of each work [W, L], of different interests if possible."""
    sampled = random.choice(len(interest_V), (works, 40), p=weight_V / weight_V.sum())
    chosen = np.empty((works, OST_TRACKS), np.int64)
    for work in range(works):
        _, firsts = np.unique(interest_V[sampled[work]], return_index=True)
        distinct = np.sort(firsts)[:OST_TRACKS]
        rest = np.setdiff1d(np.arange(40), distinct)[: OST_TRACKS - len(distinct)]
        chosen[work] = sampled[work, np.concatenate([distinct, rest]).astype(np.int64)]
    return chosen


def _vectors(
    random: np.random.Generator, interest_V: Ints, emotions_VE: NDArray[np.bool_], artist_V: Ints, album_V: Ints
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Audio vectors depend on interest, emotion and artist; cover vectors on interest and album."""
    sound_KD = random.normal(0, 1, (interest_V.max() + 1, AUDIO_WIDTH))
    sound_ED = random.normal(0, 0.4, (emotions_VE.shape[1], AUDIO_WIDTH))
    sound_AD = random.normal(0, 0.4, (artist_V.max() + 1, AUDIO_WIDTH))
    audio_VD = sound_KD[interest_V] + emotions_VE @ sound_ED + sound_AD[artist_V]
    cover_KD = random.normal(0, 1, (interest_V.max() + 1, IMAGE_WIDTH))
    cover_BD = random.normal(0, 0.7, (album_V.max() + 1, IMAGE_WIDTH))
    noise_VD = random.normal(0, 0.3, audio_VD.shape)
    return (audio_VD + noise_VD).astype(np.float32), (cover_KD[interest_V] + cover_BD[album_V]).astype(np.float32)


def draw_columns(random: np.random.Generator, cumulative_RC: Floats, row_N: Ints) -> Ints:
    """Sample a column [N] from the given rows of a table of cumulative probabilities."""
    sampled: Ints = (cumulative_RC[row_N] < random.random((len(row_N), 1))).sum(axis=1)
    return np.minimum(sampled, cumulative_RC.shape[1] - 1)


def rank_in_group(group: Ints) -> Ints:
    """Position within each run of equal values of a sorted array."""
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    return np.arange(len(group)) - np.repeat(starts, np.diff(np.r_[starts, len(group)]))
