"""The multi_interest channel finds the interests of a simulated world with known interests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from config.dataclass_io import change_config
from recommender.recall.multi_interest.channel import MultiInterest
from tests.support.training.planted_world import PlantedWorld
from training.recipes import config_of
from training.train import fit_channel

THREE = [("Cantonese", "pop"), ("Western", "britpop"), ("Western", "electronic")]
SEEDS = 10


CHANGES = {
    "items.width": 32,
    "encoder.history_length": 128,
    "sampling.batch": 32,
    "optimizer.warmup": 10,
    "optimizer.steps": 300,
    "optimizer.max_passes": None,
    "validation.early_stopping_step": 300,
    "loss.in_batch_negatives": 256,
    "loss.uniform_negatives": 256,
}
"""Half the width and history length, 300 steps."""


def test_user_with_three_interests_gets_three_and_candidates_for_each(planted: PlantedWorld, tmp_path: Path) -> None:
    """Users have twelve Cantonese songs, twelve britpop and twelve western electronic tracks."""
    world, interests = planted, [planted.number(*one) for one in THREE]
    channel = fit_channel(
        MultiInterest, world.data, change_config(config_of(MultiInterest, "small"), CHANGES), tmp_path
    )
    listeners = [world.listener(interests, 12, seed) for seed in range(SEEDS)]
    threes = [user for user in listeners if len(channel.interests(user)) == len(THREE)]
    # A user may get a fourth interest, of outlier tracks.
    assert len(threes) > len(listeners) / 2
    for user in threes:
        found = channel.interests(user)
        names = [" · ".join(one.name.split(" · ")[:2]) for one in found]
        assert sorted(names) == sorted(" · ".join(one) for one in THREE)
        assert sum(one.share for one in found) == pytest.approx(1)
    user = threes[0]
    items = channel.recall(user, 60)[0]
    new = items[~np.isin(items, user.history_items.items)]
    for one in interests:
        assert (world.interest_V[items] == one).sum() >= 6
        assert (world.interest_V[new] == one).sum() >= 3
    assert np.isin(world.interest_V[items], interests).mean() > 0.8
