"""Fit of the realtime channel: windows of the event table, with a loss for each task."""

from __future__ import annotations

from pathlib import Path

from recommender.recall.realtime import Realtime, RealtimeConfig
from training.data.training_data import TrainingData
from training.recall.neural import fit_network
from training.recall.windows import WindowLoss, WindowSampler


def fit(data: TrainingData, config: RealtimeConfig, folder: Path) -> Realtime:
    """See `fit_network`."""
    examples = WindowSampler(data, config.encoder.history_length, config.sampling)

    def objective(channel: Realtime) -> WindowLoss:
        return WindowLoss(channel.network, channel.resolved_config, examples, data.catalog_V)

    return fit_network(Realtime, data, config, folder, examples, objective)
