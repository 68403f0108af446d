"""Mixed precision (bf16) training, run on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.training import small_fits
from tests.support.training.tiny_world import random_plays, write_marts
from training import trainer

CHANNELS = ("realtime", "multi_interest", "long_short")


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Marts of the tiny world."""
    return write_marts(tmp_path_factory.mktemp("mixed"), random_plays())


@pytest.mark.parametrize("channel", CHANNELS)
def test_losses_are_close_to_float32(
    channel: str, marts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(folder: Path) -> list[float]:
        small_fits.fit(channel, marts, folder)
        rows: list[dict[str, Any]] = json.loads((folder / channel / trainer.FIT_RECORD_FILE).read_text())["history"]
        return [row["loss"] for row in rows]

    single = losses(tmp_path / "single")
    monkeypatch.setattr(trainer, "has_bfloat16", lambda: True)
    mixed = losses(tmp_path / "mixed")
    assert mixed != single
    # bfloat16 has 8 significant bits, a relative error of 0.4 %.
    np.testing.assert_allclose(mixed, single, rtol=0.02)
