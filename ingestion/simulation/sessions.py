"""Sessions of a simulated day: user, time, situation, product scene and mood.

Shape letters: S sessions, N slots (positions of tracks in all sessions), G segments with the same mood, U users, P
parts of the day, I interests of a user, K interests, E emotions.
"""

from __future__ import annotations

import numpy as np

from ingestion.simulation import facets
from ingestion.simulation.users import SimulatedUsers
from ingestion.simulation.world import Ints, World, draw_columns, rank_in_group

# Product scenes, the `scene` of an event. In the library the user selects tracks, in the others the recommender does.
PRODUCT_SCENES = ("library", "private_fm", "daily", "playlists", "mlog", "similar")
LIBRARY, PRIVATE_FM, DAILY, PLAYLISTS, MLOG, SIMILAR = range(len(PRODUCT_SCENES))
PRODUCT_SCENE_PROBABILITIES = (0.37, 0.25, 0.16, 0.12, 0.06, 0.04)
DEVICES = ("phone", "desktop", "speaker", "car")
DAILY_TRACKS, MAX_TRACKS, MEAN_TRACKS = 12, 25, 7
MOOD_CHANGE = 0.06  # probability per track that the mood changes
SCENE_PULL = 1.2  # logit bonus of interests that suit the situation
MINUTE = 60_000_000


class Sessions:
    """Sessions of a day, ordered by user and time. Sessions of a user neither overlap nor cross midnight.

    Attributes:
        user_S: User.
        start_S: Microseconds after midnight.
        scene_S: Situation, index into facets.SCENES.
        product_scene_S: Index into PRODUCT_SCENES.
        tracks_S: Number of tracks.
        seed_S: Track that a `similar` session starts from; -1 otherwise.
        device_S: Index into DEVICES.
    """

    def __init__(self, random: np.random.Generator, users: SimulatedUsers, day: int) -> None:
        chance_UP = np.where(users.first_day_U[:, None] <= day, users.session_chance_UP, 0)
        self.user_S, part_S = np.nonzero(random.random(chance_UP.shape) < chance_UP)
        S = len(self.user_S)
        minute_S = facets.FIRST_MINUTE + part_S * facets.DAY_PART_MINUTES + random.random(S) * 20
        self.start_S: Ints = (minute_S * MINUTE).astype(np.int64)
        kind_S = random.choice(len(PRODUCT_SCENES), S, p=PRODUCT_SCENE_PROBABILITIES)
        self.seed_S: Ints = np.where(kind_S == SIMILAR, users.sample_repeat(random, self.user_S), -1)
        self.product_scene_S: Ints = np.where((kind_S == SIMILAR) & (self.seed_S < 0), LIBRARY, kind_S)
        usual_S = users.scene_UP[self.user_S, part_S]
        other_S = np.array([facets.SCENES.index(part[0]) for part in facets.DAY_PARTS])[part_S]
        self.scene_S: Ints = np.where(random.random(S) < 0.75, usual_S, other_S)
        device_S = random.choice(3, S, p=[0.7, 0.2, 0.1])
        is_driving_S = self.scene_S == facets.SCENES.index("driving")
        self.device_S: Ints = np.where(is_driving_S, DEVICES.index("car"), device_S)
        songs_S = np.minimum(random.geometric(1 / MEAN_TRACKS, S), MAX_TRACKS)
        self.tracks_S: Ints = np.where(self.product_scene_S == DAILY, DAILY_TRACKS, songs_S)


def draw_moods(
    random: np.random.Generator,
    world: World,
    users: SimulatedUsers,
    sessions: Sessions,
    session_N: Ints,
    number_N: Ints,
) -> tuple[Ints, Ints]:
    """Sample moods: an interest [N] that suits the situation, and an emotion [N] of it, kept until the mood changes."""
    turns_N = (number_N == 0) | (random.random(len(session_N)) < MOOD_CHANGE)
    session_G = session_N[turns_N]
    user_G, scene_G = sessions.user_S[session_G], sessions.scene_S[session_G]
    interest_GI = users.interest_UI[user_G]
    pull_GI = users.logit_UI[user_G] + SCENE_PULL * world.scenes_KS[interest_GI, scene_G[:, None]]
    drawn_G = (pull_GI + random.gumbel(size=pull_GI.shape)).argmax(axis=1)
    interest_G = interest_GI[np.arange(len(user_G)), drawn_G]
    seed_G = sessions.seed_S[session_G]
    interest_G = np.where(seed_G >= 0, world.interest_V[seed_G], interest_G)
    emotion_G = draw_columns(random, world.emotions_KE.cumsum(axis=1), interest_G)
    stretch_N = turns_N.cumsum() - 1
    return interest_G[stretch_N], emotion_G[stretch_N]


def expand_slots(songs_S: Ints) -> tuple[Ints, Ints]:
    """Session of each slot [N] and its number within the session, from 0 [N]."""
    session_N = np.repeat(np.arange(len(songs_S)), songs_S)
    return session_N, rank_in_group(session_N)
