"""Recall of the first tracks of new artists on a simulated world."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from config.dataclass_io import change_config
from ingestion.simulate import WorldSize
from recommender.recall.realtime import Realtime
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import SequenceBatch
from tests.support.training.planted_world import PlantedWorld, described_world, listener_of
from training.recall.registry import fit_channel
from training.recipes import config_of

NEW_ARTISTS = 10
FOUND = 60
SEEDS = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> PlantedWorld:
    size = WorldSize(users=200, tracks=600, days=30, seed=4)
    return described_world(tmp_path_factory.mktemp("described"), size, NEW_ARTISTS)


@pytest.fixture(scope="module")
def is_new_V(world: PlantedWorld) -> np.ndarray:
    """Tracks by artists without any play, bool [V]."""
    vocabulary = world.data.vocabulary
    artists = vocabulary.artist_ids_A[vocabulary.artist_of_track_V]
    is_new_V = np.array([bool(artist) and int(artist[1:]) % NEW_ARTISTS == 0 for artist in artists])
    assert is_new_V.sum() > 30 and not np.isin(world.data.plays.track_P, np.flatnonzero(is_new_V)).any()
    return is_new_V


def realtime(world: PlantedWorld, folder: Path, has_content: bool = True) -> Realtime:
    """The recipe `small` with half the width and history length, 300 steps."""
    small = change_config(
        config_of(Realtime, "small"),
        {
            "items.width": 32,
            "encoder.history_length": 32,
            "encoder.layers": 1,
            "sampling.batch": 32,
            "optimizer.warmup": 10,
        },
    )
    config = change_config(
        small,
        {
            "optimizer.steps": 300,
            "validation.early_stopping_step": 300,
            "loss.in_batch_negatives": 256,
            "loss.uniform_negatives": 256,
        },
    )
    data = copy.copy(world.data)
    if not has_content:
        nothing_V = np.zeros(len(data.vocabulary), dtype=bool)
        data.content = replace(data.content, has_descriptive_content_V=nothing_V)
    return fit_channel(Realtime, data, config, folder)


@pytest.fixture(scope="module")
def channel(world: PlantedWorld, tmp_path_factory: pytest.TempPathFactory) -> Realtime:
    return realtime(world, tmp_path_factory.mktemp("on"))


def listeners(world: PlantedWorld, is_new_V: np.ndarray) -> list[tuple[int, UserBatch]]:
    """For every planted interest, some users who listened to eight of its played tracks."""
    found = []
    for interest in range(len(world.names)):
        known = np.flatnonzero((world.interest_V == interest) & ~is_new_V)
        for seed in range(SEEDS):
            user = listener_of(np.random.default_rng(seed).choice(known, 8, replace=False))
            nothing = {name: column[:, :0] for name, column in user.views["recent_events"].columns.items()}
            clicks = SequenceBatch(nothing, np.array([0]))
            found.append(
                (interest, UserBatch(user.user_ids, user.request_at_B, {**user.views, "recent_clicks": clicks}))
            )
    return found


def reached(world: PlantedWorld, channel: Realtime, is_new_V: np.ndarray) -> tuple[float, float]:
    """Recall of new tracks for users with their interest, and for other users."""
    right, wrong = [], []
    for interest, user in listeners(world, is_new_V):
        got = np.isin(np.flatnonzero(is_new_V), channel.recall(user, FOUND).items_BK[0])
        is_mine = world.interest_V[is_new_V] == interest
        right += got[is_mine].tolist()
        wrong += got[~is_mine].tolist()
    return float(np.mean(right)), float(np.mean(wrong))


def test_new_artists_are_recalled_for_matching_users_and_only_with_content(
    world: PlantedWorld, channel: Realtime, is_new_V: np.ndarray, tmp_path: Path
) -> None:
    right, wrong = reached(world, channel, is_new_V)
    assert right > 0.35
    assert wrong < 0.02
    assert reached(world, realtime(world, tmp_path, has_content=False), is_new_V)[0] < 0.05
