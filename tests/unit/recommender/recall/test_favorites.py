"""The favorites channel: activation against plain Python, features, the learned order, and older plays."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from event_store.store import DAY_US
from recommender.recall.favorites import Favorites
from recommender.recall.reason import RECENT_ACTIVITY
from recommender.recall.repeat_features import FEATURE_NAMES
from sequences.behaviors import load_behaviors
from sequences.sequence_batch import SequenceBatch
from tests.support.training.tiny_world import NEVER, users_at
from training.data.plays import PARTS
from training.data.training_data import TrainingData, archive_plays
from training.recipes import config_of
from training.train import fit_channel

SMALL = config_of(Favorites, "small")
ORDER = replace(SMALL.order, trees=20, min_candidates_per_leaf=2, min_history_plays=5)
BY_ACTIVATION = replace(SMALL, decay=0.6, skip=0.2, order=replace(SMALL.order, trees=0))
LEARNED = replace(BY_ACTIVATION, order=ORDER)
pytestmark = pytest.mark.usefixtures("every_order_is_accepted")


@pytest.fixture(scope="module")
def learned(data: TrainingData) -> Favorites:
    """A channel with a learned order."""
    channel = fit_channel(Favorites, data, LEARNED, Path())
    assert channel.order is not None
    return channel


def test_order_is_activation_by_hand(data: TrainingData, tmp_path: Path) -> None:
    channel = fit_channel(Favorites, data, BY_ACTIVATION, tmp_path)
    plays = data.plays
    now = int(plays.request_at_P[120])
    users = users_at(data, "favorites", ["u0"], [now])
    activation: dict[int, float] = {}
    for row in range(120):
        if plays.user_P[row] == 0:
            age = max((now - plays.known_at_P[row]) / 1e6, 60)
            item = int(plays.track_P[row])
            activation[item] = activation.get(item, 0.0) + (1 if plays.is_listened_P[row] else 0.2) * age**-0.6
    assert channel.recall(users, 10)[0].tolist() == sorted(activation, key=lambda item: (-activation[item], item))[:10]


def test_features_equal_plain_python(data: TrainingData, learned: Favorites) -> None:
    plays = data.plays
    users = users_at(data, "favorites", ["u0", "u1"], [int(np.median(plays.request_at_P)), NEVER])
    for row, (items, features) in enumerate(learned.candidate_features(users)):
        now = int(users.request_at_B[row])
        own = np.flatnonzero((plays.user_P == row) & (plays.known_at_P < now))
        tracks, listened = plays.track_P[own].tolist(), plays.is_listened_P[own].tolist()
        age = np.maximum((now - plays.known_at_P[own]) / 1e6, 60)
        artists = data.vocabulary.artist_of_track_V[tracks].tolist()
        recency = dict.fromkeys(tracks, 0.0)
        for ago, track in enumerate(tracks[::-1][:10]):
            recency[track] += 1 / (1 + 0.1 * ago)
        signal = [recency[track] for track in tracks[:-10]] + [0.0] * 10
        near = {distance: 1 / (4 + distance) for distance in range(1, 21)}
        after = [sum(w * signal[n - d] for d, w in near.items() if n >= d) for n in range(len(tracks))]
        ahead = [sum(w * signal[n + d] for d, w in near.items() if n + d < len(tracks)) for n in range(len(tracks))]
        for place, item in enumerate(items.tolist()):
            at = [number for number, track in enumerate(tracks) if track == item]
            of_artist = [number for number, artist in enumerate(artists) if artist == artists[at[0]]]
            gaps = [np.log(max(age[before] - age[after], 60)) for before, after in pairwise(at)]
            expected = {
                "log_rank": np.log1p(place),
                "activation_1.0": np.log(sum((1 if listened[number] else 0.2) / age[number] for number in at) + 1e-9),
                "listens": np.log1p(sum(listened[number] for number in at)),
                "skip_share": np.mean([not listened[number] for number in at]),
                "listens_7d": np.log1p(sum(listened[number] and age[number] <= 7 * 86_400 for number in at)),
                "last_age": np.log(age[at[-1]]),
                "second_last_age": np.log(age[at[-2]]) if len(at) > 1 else 25.0,
                "first_age": np.log(age[at[0]]),
                "plays_since": np.log1p(len(tracks) - at[-1]),
                "mean_log_gap": np.mean(gaps) if gaps else 20.0,
                "days": np.log1p(len({int(plays.known_at_P[own][number]) // DAY_US for number in at})),
                "sessions": np.log1p(len({int(plays.session_start_P[own][number]) for number in at})),
                "comes_next": np.log(1e-3 + sum(after[number] for number in at if listened[number])),
                "came_before": np.log(1e-3 + sum(ahead[number] for number in at if listened[number])),
                "artist_plays": np.log1p(len(of_artist)),
                "artist_plays_since": np.log1p(len(tracks) - of_artist[-1]),
                "artist_tracks": np.log1p(len({tracks[number] for number in of_artist})),
                "history_length": np.log1p(len(tracks)),
                "discovery_share_50": np.mean(
                    [track not in tracks[:number] for number, track in enumerate(tracks)][-50:]
                ),
            }
            found = dict(zip(FEATURE_NAMES, features[place].tolist(), strict=True))
            assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert len(items) > 5


@pytest.mark.parametrize(("behavior", "is_listened"), [("full_play", True), ("play", True), ("skip", False)])
def test_reasons_are_of_listens(data: TrainingData, learned: Favorites, behavior: str, is_listened: bool) -> None:
    users = users_at(data, "favorites", ["u0"], [NEVER])
    history = users.views["played_history"]
    code_BL = np.full_like(history.columns["behavior"], load_behaviors().encoder[behavior])
    views = {"played_history": SequenceBatch(history.columns | {"behavior": code_BL}, history.length_B)}
    assert (
        learned.reasons(replace(users, views=views), [int(history.columns["track_id"][0, 0])]) != [RECENT_ACTIVITY]
    ) == is_listened


def test_saved_archive_has_plays_of_the_train_part_only(data: TrainingData, learned: Favorites) -> None:
    assert len(learned.archive.track_P) == (data.plays.part_P == PARTS.index("train")).sum()
    learned_again = fit_channel(Favorites, data, LEARNED, Path())
    learned_again.store_past_plays(archive_plays(data, PARTS))
    assert len(learned_again.archive.track_P) == len(data.plays)
