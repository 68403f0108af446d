"""Task weights: the formula by hand, and weights fitted for scenes whose labels follow one task."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.ranking.task_weights import ANY_SCENE, LISTWISE_HEAD, TaskWeights, combine_log_odds
from training.evaluation.task_weight_search import fit_task_weights, gauc_by_task

TASKS = ("not_skipped", "full_play", "like")


def labeled_cases(cases: int = 6_000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return two scenes whose labels follow `like` (`daily`) and the first task (`private_fm`); `rare` is small."""
    random = np.random.default_rng(0)
    predicted = random.random((cases, 3)).astype(np.float32)
    scene = np.array(["daily", "private_fm"])[np.arange(cases) % 2].astype(object)
    scene[:50] = "rare"
    probability = np.where(scene == "private_fm", predicted[:, 0], predicted[:, 2])
    labels = (random.random((cases, 3)) < probability[:, None]).astype(np.float32)
    return predicted, labels, np.arange(cases) % 20, scene


def test_the_score_is_a_weighted_geometric_mean_of_odds() -> None:
    predicted = {"not_skipped": np.array([[0.2, 0.9]]), "like": np.array([[0.5, 0.1]])}
    odds = (0.25**0.75 * 1.0**0.25, 9.0**0.75 * (1 / 9) ** 0.25)
    found = combine_log_odds(predicted, {"not_skipped": 3.0, "like": 1.0, "full_play": 0.0})
    np.testing.assert_allclose(found[0], [value / (1 + value) for value in odds])
    assert combine_log_odds(predicted, {"like": 1.0}) is predicted["like"], "a single task keeps its probability"
    extreme = combine_log_odds({"a": np.array([0.0, 1.0]), "b": np.array([1.0, 1.0])}, {"a": 1, "b": 1})
    assert np.isfinite(extreme).all() and (extreme >= 0).all() and (extreme <= 1).all()
    with pytest.raises(KeyError, match="no task full_play"):
        combine_log_odds(predicted, {"full_play": 1.0})


def test_a_scene_with_enough_cases_has_its_own_weights() -> None:
    heads, table = fit_task_weights(*labeled_cases()[:2], TASKS, *labeled_cases()[2:])
    assert set(heads.weights) == set(table) == {"", "daily", "private_fm"}
    assert max(heads.for_scene("daily"), key=heads.for_scene("daily").__getitem__) == "like"
    assert heads.for_scene("private_fm").get("not_skipped", 0) >= 0.75
    assert heads.for_scene("rare") == heads.for_scene("") and heads.for_scene("unknown") == heads.for_scene("")
    for row in table.values():
        worth = {
            name: sum(row["wants"][task] * value for task, value in values.items())
            for name, values in row["gauc"].items()
        }
        assert worth["combined"] == pytest.approx(max(worth.values()), abs=1e-6)


def test_one_or_two_tasks_are_enough() -> None:
    predicted, labels, users, scenes = labeled_cases()
    heads, _ = fit_task_weights(predicted[:, :2], labels[:, :2], TASKS[:2], users, scenes)
    assert set(heads.for_scene("")) <= set(TASKS[:2])
    single, table = fit_task_weights(predicted[:, :1], labels[:, :1], ("click",), users, scenes)
    assert single.for_scene("") == {"click": 1.0} and table[""]["wants"] == {"click": 0.5}
    unknown, empty = fit_task_weights(predicted, np.full_like(labels, np.nan), TASKS, users, scenes)
    assert unknown.for_scene("daily") == {"not_skipped": 1.0} and empty == {}


def test_gauc_is_the_mean_auc_weighted_by_cases() -> None:
    score = np.array([0.1, 0.9, 0.5, 0.4, 0.3, 0.2, 0.7])
    found = gauc_by_task(score, {"a": np.array([0, 1, np.nan, 1, 0, 1, 1])}, np.array([0, 0, 0, 1, 1, 1, 2]))
    assert found["a"] == pytest.approx((2 * 1.0 + 3 * 0.5) / 5)


def test_the_listwise_head_has_its_share_in_every_scene() -> None:
    heads = TaskWeights({ANY_SCENE: {"not_skipped": 1.0, "like": 3.0}, "daily": {"like": 1.0}})
    mixed = heads.with_listwise_share(0.6)
    assert mixed.weights == {
        ANY_SCENE: pytest.approx({"not_skipped": 0.1, "like": 0.3, LISTWISE_HEAD: 0.6}),
        "daily": pytest.approx({"like": 0.4, LISTWISE_HEAD: 0.6}),
    }
    assert mixed.active_tasks == {"not_skipped", "like", LISTWISE_HEAD}
    assert heads.with_listwise_share(1.0).active_tasks == {LISTWISE_HEAD}
    assert heads.with_listwise_share(0.0).active_tasks == {"not_skipped", "like"}
