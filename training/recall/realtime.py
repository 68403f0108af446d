"""Fit of the realtime channel: windows of the event table, with a loss for each task."""

from __future__ import annotations

from pathlib import Path

from recommender.recall.realtime import Realtime, RealtimeConfig
from training.data.training_data import TrainingData
from training.networks.next_item import NextItemNetwork
from training.recall.neural import fit_network
from training.recall.windows import WindowLoss, WindowSampler


def fit(data: TrainingData, config: RealtimeConfig, folder: Path) -> Realtime:
    """See `fit_network`."""
    examples = WindowSampler(data, config.encoder.history_length, config.sampling)

    def objective(network: NextItemNetwork, config: RealtimeConfig) -> WindowLoss:
        return WindowLoss(network, config, examples, data.catalog_V)

    return fit_network(Realtime, NextItemNetwork, data, config, folder, examples, objective)
