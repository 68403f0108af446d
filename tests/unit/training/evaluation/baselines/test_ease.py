"""EASE solved over users against the formula of the paper over tracks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.training.evaluation.baselines.listen_matrices import listens, random_counts, user_history
from training.evaluation.baselines import collaborative
from training.evaluation.baselines.collaborative import Ease


@pytest.mark.parametrize("power", [0, 0.5, 1])
@pytest.mark.parametrize("users", [4, 30])
def test_against_the_inverse_over_tracks(power: float, users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collaborative, "TRACK_BATCH_SIZE", 6)
    counts_UI = random_counts(users, tracks=16, seed=users)
    columns_T, counts_CT, counts_CI = user_history(16, seed=1)
    strength_UI = np.where(counts_UI > 0, counts_UI.astype(float) ** power, 0)
    past_CI = np.where(counts_CI > 0, counts_CI.astype(float) ** power, 0)

    inverse_II = np.linalg.inv(strength_UI.T @ strength_UI + 3 * np.eye(16))
    weights_II = -inverse_II / np.diag(inverse_II)
    np.fill_diagonal(weights_II, 0)

    scores_IC = Ease(3, power).fit(listens(counts_UI)).scores(columns_T, counts_CT)
    np.testing.assert_allclose(scores_IC.T, past_CI @ weights_II, rtol=1e-4, atol=1e-5)
