"""Fits of channels on the tiny world, without dropout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.dataclass_io import change_config
from recommender.recall.registry import CHANNELS
from tests.support.training.tiny_world import SERVICES
from training.data.training_data import TrainingData
from training.recipes import config_of, recipe
from training.train import fit_channel

RECALL = {
    "sampling.batch": 15,
    "optimizer.steps": 40,
    "validation.validate_every": 10,
    "items.item_dropout": 0.0,
    "items.id_dropout": 0.0,
}
CHANGES: dict[str, dict[str, Any]] = {
    "realtime": {"encoder.dropout": 0.0, "sampling.positions_per_batch": 40},
    "long_short": {"encoder.dropout": 0.0},
    "multi_interest": {},
}


def fit(name: str, marts: Path, out: Path) -> None:
    """Fit one channel into `out/name`."""
    data = TrainingData(marts, "held_out", recipe("debug"), services=SERVICES)
    config = config_of(CHANNELS[name], "debug")
    changed = RECALL if hasattr(config, "items") else {}
    fit_channel(CHANNELS[name], data, change_config(config, changed | CHANGES[name]), out / name)
