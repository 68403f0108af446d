"""Boosted trees alone: number of trees, labels, and the order of features in a batch."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from training.evaluation import trees_alone
from training.evaluation.trees_alone import MAX_TREES, PATIENCE, TreesAlone
from training.nn.trees import Trees, dataset
from training.ranking.boosted_trees import lightgbm_parameters
from training.ranking.ranker import TreeConfig

CONFIG = TreeConfig(count=MAX_TREES)


def examples(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy labels that depend on the first two of six features."""
    random = np.random.default_rng(seed)
    features_RN = random.normal(size=(rows, 6)).astype(np.float32)
    logit_R = features_RN[:, 0] + features_RN[:, 1] * features_RN[:, 0]
    return features_RN, (random.random(rows) < 1 / (1 + np.exp(-logit_R))).astype(np.float32)


def fit(train: tuple[np.ndarray, np.ndarray], validation: tuple[np.ndarray, np.ndarray]) -> Trees | None:
    return trees_alone._fit_task([train[0], validation[0]], [train[1], validation[1]], CONFIG, 0, 1)


def test_number_of_trees_is_the_best_on_validation() -> None:
    train, validation = examples(0, 3_000), examples(1, 1_500)
    fitted = fit(train, validation)
    assert fitted is not None
    chosen = fitted.count
    every = Trees.fit(dataset(*train, lightgbm_parameters(CONFIG), 0, 1), chosen + PATIENCE, "")
    losses = [
        log_loss(validation[1], every.booster.predict(validation[0], num_iteration=count + 1))
        for count in range(chosen + PATIENCE)
    ]
    assert int(np.argmin(losses)) + 1 == chosen < MAX_TREES


def test_cases_without_a_label_do_not_count_and_one_label_is_not_fitted() -> None:
    (features_RN, label_R), validation = examples(0, 3_000), examples(1, 1_500)
    is_known_R = np.arange(3_000) % 3 > 0
    known = fit((features_RN[is_known_R], label_R[is_known_R]), validation)
    with_unknown = fit((features_RN, np.where(is_known_R, label_R, np.nan)), validation)
    assert known is not None and with_unknown is not None
    assert with_unknown.booster.model_to_string() == known.booster.model_to_string()
    assert fit((features_RN, np.ones_like(label_R)), validation) is None


def test_probabilities_are_calibrated_on_validation_as_those_of_rankers() -> None:
    (features_RN, label_R), (validation_RN, validation_R) = examples(0, 3_000), examples(1, 1_500)
    parameters = lightgbm_parameters(replace(CONFIG, learning_rate=0.5))
    overconfident = Trees.fit(dataset(features_RN, label_R, parameters, 0, 1), 60, "")
    unlabeled = features_RN[:500], np.full(500, np.nan, np.float32)
    parts = (np.concatenate(part) for part in zip((validation_RN, validation_R), unlabeled, strict=True))
    temperature = trees_alone._fit_temperature(overconfident, *parts)
    logit_R = overconfident.predict_rows(validation_RN)
    losses = {divisor: log_loss(validation_R, 1 / (1 + np.exp(-logit_R / divisor))) for divisor in (1.0, temperature)}
    assert temperature > 1.1 and losses[temperature] < losses[1.0]
    context_BU, own_BF, match_BM = (torch.from_numpy(part.copy()) for part in np.split(validation_RN, [2, 3], axis=1))
    batch: Any = SimpleNamespace(
        users=SimpleNamespace(context_BU=context_BU),
        candidates=SimpleNamespace(features_BCF=own_BF[:, None], matches_BCM=match_BM[:, None]),
    )
    found_BT = TreesAlone("any", {"not_skipped": overconfident}, {"not_skipped": temperature}).predict(batch)
    assert found_BT[:, 0] == pytest.approx(1 / (1 + np.exp(-logit_R / temperature)), rel=1e-5)
