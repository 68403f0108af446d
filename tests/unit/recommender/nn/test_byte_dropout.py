"""Dropout with random bytes."""

from __future__ import annotations

import pytest
import torch

from training.networks.user_tower import ByteDropout


def test_rate_and_mean() -> None:
    torch.manual_seed(0)
    dropped = ByteDropout(0.1).train()(torch.ones(1_000_003))
    kept = dropped[dropped > 0]
    # The standard deviations of the rate and of the mean are .0003.
    assert (dropped == 0).float().mean() == pytest.approx(26 / 256, abs=0.0015)
    assert dropped.mean() == pytest.approx(1.0, abs=0.0017)
    assert (kept == kept[0]).all()
