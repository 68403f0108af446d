"""Candidates used for model selection."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.catalog.arrays import Ragged
from training.evaluation.model_selection import filter_known_items, select_channels


def test_fusion_is_fitted_on_known_or_played_items() -> None:
    known_V = np.array([False, False, True, True, False, False])
    history = Ragged(np.array([4]), np.array([0, 1, 1]))  # item 4, played by the first user only
    candidates = {"one": np.array([[5, 4, 3, 2], [4, 3, 0, 0]])}
    assert filter_known_items(candidates, history, known_V)["one"].tolist() == [[0, 4, 3, 2], [0, 3, 0, 0]]


@pytest.mark.parametrize(
    ("names", "users", "selected"),
    [
        (["popularity", "favorites"], 1, ["favorites"]),
        (["popularity", "favorites"], 2, ["popularity", "favorites"]),
        (["popularity"], 1, ["popularity"]),
    ],
)
def test_the_plays_of_one_user_are_no_popularity(names: list[str], users: int, selected: list[str]) -> None:
    assert list(select_channels(dict.fromkeys(names, np.array([[2]])), users)) == selected
