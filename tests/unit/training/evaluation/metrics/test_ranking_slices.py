"""Slices against an explicit loop over the plays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.training.fitted_workspace import small_data
from training.evaluation.metrics import ranking_metrics
from training.evaluation.metrics.ranking_metrics import measure_by_slice, slice_masks
from training.ranking.labeled_cases import ranking_cases


def test_slices_against_a_loop_over_the_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking_metrics, "HISTORY_EDGES", (0, 60, 70))
    data = small_data(tmp_path, seed=3)
    cases = ranking_cases(data)
    cases = cases.take(np.random.default_rng(0).permutation(len(cases)))
    masks = slice_masks(data, cases)
    log = data.plays
    for row in range(0, len(cases), 7):
        user_rows = np.flatnonzero(log.user_P == cases.user_R[row])
        before = user_rows[log.request_at_P[user_rows] < cases.request_at_R[row]]
        expected = {
            "plays 0-59": len(before) < 60,
            "plays 60-69": 60 <= len(before) < 70,
            "plays 70+": len(before) >= 70,
            "track played before": cases.item_R[row] > 1 and cases.item_R[row] in log.track_P[before],
        }
        assert {name: bool(masks[name][row]) for name in expected} == {k: bool(v) for k, v in expected.items()}
    assert (sum(masks[name].astype(int) for name in masks if name.startswith("plays")) == 1).all()
    assert (sum(masks[name].astype(int) for name in masks if name.startswith("track")) == 1).all()
    assert masks["track played before"].any() and masks["track new to the user"].any()


def test_metrics_of_a_slice_and_differences_of_rankers() -> None:
    random = np.random.default_rng(0)
    user, label = np.arange(2000) % 10, (random.random(2000) < 0.5).astype(np.float32)
    label[:100] = np.nan
    probabilities = {name: random.random(2000).astype(np.float32) for name in ("low", "middle", "high")}
    mask = np.arange(2000) < 900
    found = measure_by_slice(
        {"some": mask, "few": np.arange(2000) < 150, "none": mask & False}, label, probabilities, user
    )
    assert set(found) == {"some"}
    some, rows = found["some"], np.arange(100, 900)
    low, high = (
        ranking_metrics.measure(label[rows], probabilities[name][rows], user[rows]) for name in ("low", "high")
    )
    assert (some["cases"], some["users"]) == (800, 10)
    assert some["rankers"]["low"]["gauc"] == low["gauc"].interval()
    assert set(some["differences"]) == {"middle - low", "high - low", "high - middle"}
    assert some["differences"]["high - low"]["auc"] == (high["auc"] - low["auc"]).interval()
