"""Boosted trees: compiled trees give the same scores as LightGBM."""

from __future__ import annotations

from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pytest

from recommender.nn.trees import Trees

USER_FEATURES, FEATURES = 3, 8


@cache
def random_trees(trees: int = 30, **changes: Any) -> lightgbm.Booster:
    """Return trees fitted on random labels; features with odd numbers are integers."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(1_000, FEATURES)).astype(np.float32)
    rows[:, 1::2] = np.rint(rows[:, 1::2])
    rows[random.random(rows.shape) < changes.pop("missing", 0.0)] = np.nan
    label = random.integers(0, 2, len(rows))
    settings = {
        "objective": "binary",
        "num_leaves": 31,
        "min_data_in_leaf": 5,
        "verbose": -1,
        "num_threads": 1,
        "feature_fraction": 0.5,
        "seed": 1,
    } | changes
    return lightgbm.train(settings, lightgbm.Dataset(rows, label, params=settings), trees)


def requests(count: int, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    context = np.rint(random.normal(size=(count, USER_FEATURES))).astype(np.float32)
    return context, random.normal(size=(count, candidates, FEATURES - USER_FEATURES)).astype(np.float32)


@pytest.mark.parametrize(
    "changes", [*({"num_leaves": leaves} for leaves in (4, 31, 63, 64)), {"min_data_in_leaf": 1_000}], ids=str
)
@pytest.mark.parametrize(("count", "candidates"), [(1, 300), (7, 9), (30, 200), (7, 5), (2, 0), (0, 40)])
def test_scores_equal_lightgbm(count: int, candidates: int, changes: dict[str, int]) -> None:
    """Also of trees of one leaf, because no leaf may have fewer than all rows."""
    booster, (context, features) = random_trees(**changes), requests(count, candidates)
    scores = Trees(booster).predict(context, features)
    assert scores.shape == (count, candidates)
    rows = np.concatenate([context.repeat(candidates, axis=0), features.reshape(-1, FEATURES - USER_FEATURES)], axis=1)
    if scores.size:
        np.testing.assert_array_equal(scores.ravel(), booster.predict(rows, raw_score=True))


def test_a_value_at_a_threshold_is_not_above_it() -> None:
    booster = random_trees()
    random, nodes = np.random.default_rng(2), booster.trees_to_dataframe()
    at = [nodes.loc[nodes["split_feature"] == f"Column_{n}", "threshold"].to_numpy() for n in range(FEATURES)]
    # LightGBM treats values near 0 as 0, so thresholds near 0 are left out.
    rows = np.stack([random.choice(at_M[abs(at_M) > 1e-30], 400) for at_M in at], axis=1).astype(np.float32)
    np.testing.assert_array_equal(
        Trees(booster).predict(np.zeros((1, 0), np.float32), rows[None])[0], booster.predict(rows, raw_score=True)
    )


@pytest.mark.parametrize(
    ("changes", "message"), [({"missing": 0.1}, "finite numbers"), ({"num_leaves": 65}, "at most 64")]
)
def test_unusual_trees_are_rejected_with_the_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trees(random_trees(3, **changes)).predict(*requests(2, 50))


@pytest.mark.parametrize("candidates", [1, 50])
@pytest.mark.parametrize("width", [FEATURES - 1, FEATURES + 1])
def test_candidates_of_another_width_are_rejected(width: int, candidates: int) -> None:
    context, _ = requests(1, candidates)
    features = np.zeros((1, candidates, width - USER_FEATURES), np.float32)
    message = rf"3 \+ {width - USER_FEATURES} features, the trees were fitted on {FEATURES}; fit the model again"
    with pytest.raises(ValueError, match=message):
        Trees(random_trees(2)).predict(context, features)
