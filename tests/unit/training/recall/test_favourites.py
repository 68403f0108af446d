from pathlib import Path

import numpy as np

from tests.support.training.tiny_world import users_at
from training.data.training_data import TrainingData
from training.recall.favourites import DECAY_GRID, SKIP_WEIGHT_GRID, Favourites, FavouritesConfig


def test_scores_equal_activation_by_hand(data: TrainingData, tmp_path: Path) -> None:
    channel = Favourites.fit(data, FavouritesConfig(decay=0.6, skip=0.2), tmp_path)
    plays = data.plays
    now = int(plays.request_at_P[120])
    users = users_at(data, "favourites", ["u0"], [now])
    activation: dict[int, float] = {}
    for row in range(120):
        if plays.user_P[row] == 0:
            age = max((now - plays.known_at_P[row]) / 1e6, 60)
            item = int(plays.track_P[row])
            activation[item] = activation.get(item, 0.0) + (1 if plays.is_listened_P[row] else 0.2) * age**-0.6
    expected = sorted(activation, key=lambda item: (-activation[item], item))[:10]
    found = channel.recall(users, 10)
    assert found.items_BK[0].tolist() == expected
    np.testing.assert_allclose(np.exp(found.scores_BK[0]), [activation[item] for item in expected], rtol=1e-4)


def test_decay_and_skip_weight_are_tuned_on_validation(data: TrainingData, tmp_path: Path) -> None:
    channel = Favourites.fit(data, FavouritesConfig(), tmp_path)
    for name, values in (("decay", DECAY_GRID), ("skip", SKIP_WEIGHT_GRID)):
        tried = channel.measures()[f"{name}s"]
        assert set(tried) == {str(value) for value in values}
        assert tried[str(getattr(channel.resolved_config, name))] == max(tried.values())
