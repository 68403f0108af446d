"""Trees that are looked up say what LightGBM says that they say."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest

from training.ranking.quick_scorer import MAX_LEAVES, QuickScorer, RequestScorer

USER_NUMBERS, NUMBERS = 3, 8


def grown(trees: int = 30, **changes: Any) -> lightgbm.Booster:
    """Trees that learned chance by heart; the odd numbers are whole."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(4_000, NUMBERS)).astype(np.float32)
    rows[:, 1::2] = np.rint(rows[:, 1::2])
    rows[random.random(rows.shape) < changes.pop("missing", 0.0)] = np.nan
    label = random.integers(0, 2, len(rows))
    settings = {
        "objective": "binary",
        "num_leaves": MAX_LEAVES,
        "min_data_in_leaf": 5,
        "verbose": -1,
        "num_threads": 1,
    }
    settings |= {"feature_fraction": 0.5, "seed": 1} | changes
    return lightgbm.train(settings, lightgbm.Dataset(rows, label, params=settings), trees)


def asked(booster: lightgbm.Booster, context: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """What LightGBM says, row by row [B, C]."""
    shape = (*numbers.shape[:2], context.shape[1])
    rows = np.concatenate([np.broadcast_to(context[:, None], shape), numbers], axis=2)
    return np.asarray(booster.predict(rows.reshape(-1, rows.shape[2]), raw_score=True)).reshape(numbers.shape[:2])


def requests(count: int, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    context = np.rint(random.normal(size=(count, USER_NUMBERS))).astype(np.float32)
    return context, random.normal(size=(count, candidates, NUMBERS - USER_NUMBERS)).astype(np.float32)


@pytest.mark.parametrize(("count", "candidates"), [(1, 300), (7, 5), (30, 200), (2, 0), (0, 4)])
def test_it_says_what_the_walks_say(count: int, candidates: int) -> None:
    booster, (context, numbers) = grown(), requests(count, candidates)
    quick = QuickScorer.from_booster(booster, USER_NUMBERS)
    assert quick is not None
    said = quick.predict(context, numbers)
    assert said.shape == (count, candidates)
    if said.size:
        np.testing.assert_array_equal(said, asked(booster, context, numbers))


def test_a_number_at_a_threshold_is_not_above_it() -> None:
    booster = grown()
    thresholds: dict[int, list[float]] = {}

    def read(node: dict[str, Any]) -> None:
        if "threshold" in node:
            thresholds.setdefault(node["split_feature"], []).append(node["threshold"])
            read(node["left_child"])
            read(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        read(tree["tree_structure"])
    random = np.random.default_rng(2)
    at = [np.array(thresholds[number]) for number in range(NUMBERS)]
    # Next to nothing, which parts zeros from the rest, is nothing to LightGBM.
    rows = np.stack([random.choice(at_M[abs(at_M) > 1e-30], 400) for at_M in at], axis=1).astype(np.float32)
    quick = QuickScorer.from_booster(booster, 0)
    assert quick is not None
    said = quick.predict(np.zeros((1, 0), np.float32), rows[None])
    np.testing.assert_array_equal(said[0], booster.predict(rows, raw_score=True))


@pytest.mark.parametrize("changes", [{"num_leaves": 40}, {"missing": 0.1}])
def test_what_is_not_asked_so_is_left_to_walks(changes: dict[str, Any]) -> None:
    booster, (context, numbers) = grown(3, **changes), requests(2, 50)
    assert QuickScorer.from_booster(booster, USER_NUMBERS) is None
    said = RequestScorer(booster).predict(context, numbers)
    np.testing.assert_array_equal(said, asked(booster, context, numbers))


def test_a_tree_of_one_leaf_says_the_same_of_everything() -> None:
    booster, (context, numbers) = grown(2, min_data_in_leaf=4_000), requests(1, 5)
    quick = QuickScorer.from_booster(booster, USER_NUMBERS)
    assert quick is not None
    np.testing.assert_array_equal(quick.predict(context, numbers), asked(booster, context, numbers))
