"""Counts and reasons of the popularity channel."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.popularity import ItemLanguages, Popularity
from recommender.recall.reason import Reason
from recommender.user.user_batch import UserBatch
from tests.support.sequences.batches import batch_of
from tests.support.training.tiny_world import START, write_marts
from training.data.training_data import TrainingData
from training.recipes import config_of, recipe
from training.train import fit_channel

EMPTY = Vocabulary(*[np.array([""])] * 5)
LISTENED_MS, SKIPPED = 180_000, 10_000


def test_reason_gives_number_of_users_and_for_one_user_number_of_listens(tmp_path: Path) -> None:
    listens = [("u0", "t1"), ("u1", "t1"), ("u0", "t1"), ("u0", "t2"), ("u0", "t2"), ("u1", "t3")]
    plays = [(user, track, START + timedelta(hours=hour), LISTENED_MS) for hour, (user, track) in enumerate(listens)]
    data = TrainingData(
        write_marts(tmp_path, [*plays, ("u1", "t2", START + timedelta(hours=9), SKIPPED)]), "final", recipe("debug")
    )
    channel = fit_channel(Popularity, data, config_of(Popularity, "small"), tmp_path)
    assert channel.reasons(None, [data.vocabulary.track_code[f"t{number}"] for number in (1, 2, 3, 4)]) == [
        Reason("listened_by_people", {"people": 2}),
        Reason("listened_times_overall", {"times": 2}),
        Reason("listened_once_overall"),
        Reason("most_played"),
    ]


def test_tracks_in_the_languages_of_recent_tracks_rank_higher(tmp_path: Path) -> None:
    items = np.array([5, 2, 4, 3])
    languages = ItemLanguages(items, ["English", "Chinese"], np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    weight, nothing = np.array([4.0, 3.0, 2.0, 1.0]), np.zeros(4, dtype=np.int64)
    Popularity(config_of(Popularity, "small"), items, weight, languages, nothing, nothing).save(tmp_path)
    channel = Popularity.load(tmp_path, EMPTY)
    users = UserBatch(["a", "b"], np.array([0, 0]), {"recent_events": batch_of("track_id", [[2], [3], [9]], [])})
    assert channel.recall(users, 4).tolist() == [[2, 3, 5, 4], [5, 2, 4, 3]]
    assert channel.recall(users.take([1]), 2).tolist() == [[5, 2]]
