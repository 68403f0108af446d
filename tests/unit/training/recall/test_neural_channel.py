"""What all neural channels share: the measures of a fit that was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data.training_data import TrainingData
from training.engine.config_io import change_config
from training.recall.neural_channel import NeuralChannel
from training.recall.registry import CHANNELS

NEURAL_CHANNELS = [name for name, channel in CHANNELS.items() if issubclass(channel, NeuralChannel)]


@pytest.mark.parametrize("name", NEURAL_CHANNELS)
def test_validation_of_the_best_step_is_measured_again_after_a_kill(
    described_data: TrainingData, tmp_path: Path, name: str
) -> None:
    config = change_config(CHANNELS[name].config("debug"), {"optimizer.steps": 4, "validation.validate_every": 2})
    channel = CHANNELS[name].fit(described_data, config, tmp_path)
    assert channel.measures()["validation"]
    again = CHANNELS[name].fit(described_data, config, tmp_path)  # killed after the training, before it was saved
    assert again.measures()["validation"] == channel.measures()["validation"]
