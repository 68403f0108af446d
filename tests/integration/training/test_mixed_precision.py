"""Mixed precision (bf16) training, run on the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.dataclass_io import change_config
from recommender.recall.realtime import Realtime
from training import trainer
from training.data.training_data import TrainingData
from training.recipes import config_of
from training.train import fit_channel

CHANGES: dict[str, Any] = {
    "encoder.dropout": 0.0,
    "items.id_dropout": 0.0,
    "items.item_dropout": 0.0,
    "optimizer.steps": 40,
    "sampling.batch": 15,
    "sampling.positions_per_batch": 40,
}


def test_losses_are_close_to_float32(data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = change_config(config_of(Realtime, "debug"), CHANGES)

    def losses(folder: Path) -> list[float]:
        fit_channel(Realtime, data, config, folder)
        return [row["loss"] for row in json.loads((folder / trainer.FIT_RECORD_FILE).read_text())["history"]]

    single = losses(tmp_path / "single")
    monkeypatch.setattr(trainer, "has_bfloat16", lambda: True)
    mixed = losses(tmp_path / "mixed")
    assert mixed != single
    # bfloat16 has 8 significant bits, a relative error of 0.4 %.
    np.testing.assert_allclose(mixed, single, rtol=0.02)
