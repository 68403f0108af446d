"""Candidates used for model selection."""

from __future__ import annotations

import numpy as np

from recommender.catalog.ragged import Ragged
from training.evaluation.model_selection import filter_known_items, select_channels


def test_fusion_is_fitted_on_known_or_played_items() -> None:
    known_V = np.array([False, False, True, True, False, False])
    history = Ragged(np.array([4]), np.array([0, 1, 1]))  # item 4, played by the first user only
    candidates = {"one": np.array([[5, 4, 3, 2], [4, 3, 0, 0]])}
    filtered = filter_known_items(candidates, history, known_V)["one"]
    assert filtered.tolist() == [[0, 4, 3, 2], [0, 3, 0, 0]]


def test_the_plays_of_one_user_are_no_popularity() -> None:
    lists = np.array([[2]])
    both, alone = {"popularity": lists, "favorites": lists}, {"popularity": lists}
    assert list(select_channels(both, users=1)) == ["favorites"]
    assert select_channels(both, users=2) == both
    assert select_channels(alone, users=1) == alone
