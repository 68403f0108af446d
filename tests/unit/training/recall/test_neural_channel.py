"""What all neural channels share: the measures of a fit that was interrupted."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from config.dataclass_io import change_config
from recommender.recall.neural_channel import NeuralChannel
from recommender.recall.registry import CHANNELS
from training.data.training_data import TrainingData
from training.recall.neural import limit_steps
from training.recipes import config_of
from training.train import fit_channel

NEURAL_CHANNELS = [name for name, channel in CHANNELS.items() if issubclass(channel, NeuralChannel)]


@pytest.mark.parametrize("name", NEURAL_CHANNELS)
def test_validation_of_the_best_step_is_measured_again_after_a_kill(
    described_data: TrainingData, tmp_path: Path, name: str
) -> None:
    config = change_config(config_of(CHANNELS[name], "debug"), {"optimizer.steps": 4, "validation.validate_every": 2})
    channel = fit_channel(CHANNELS[name], described_data, config, tmp_path)
    assert channel.measures["validation"]
    # Killed after the training, before it was saved.
    assert (
        fit_channel(CHANNELS[name], described_data, config, tmp_path).measures["validation"]
        == channel.measures["validation"]
    )


@pytest.mark.parametrize("name", NEURAL_CHANNELS)
def test_a_small_log_is_passed_over_at_most_max_passes_times(
    described_data: TrainingData, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, module = config_of(CHANNELS[name], "small"), import_module(f"training.recall.{name}")
    monkeypatch.setattr(module, "fit_network", lambda *arguments, **_: arguments[5])
    source = module.fit(described_data, config, Path())  # its examples
    limited = limit_steps(config, source)
    assert limited.optimizer.steps == source.steps(20, config.sampling.batch) < config.optimizer.steps
    assert limited.validation.validate_every <= limited.optimizer.steps // 2 + 1, "validated as often as a long fit"
    assert limit_steps(change_config(config, {"optimizer.max_passes": None}), source).optimizer == replace(
        config.optimizer, max_passes=None
    )
    assert limit_steps(change_config(config, {"optimizer.max_passes": 1e6}), source).validation == config.validation
