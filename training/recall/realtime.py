"""Fit of the realtime channel: windows of the event table, with a loss for each task that is used."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recommender.recall.next_item_network import TASKS
from recommender.recall.realtime import Realtime, RealtimeConfig
from training.data.training_data import TrainingData
from training.recall.neural import NeuralFit
from training.recall.windows import WindowLoss, WindowSampler


class RealtimeFit(NeuralFit[Realtime]):
    """See the module."""

    channel_class: ClassVar[type[Realtime]] = Realtime

    def examples(self, data: TrainingData, config: RealtimeConfig) -> WindowSampler:
        """Windows of the event table."""
        sampling = config.sampling
        return WindowSampler(data, config.encoder.history_length, sampling.horizon, sampling.user_sampling_exponent)

    def objective(
        self, channel: Realtime, examples: WindowSampler, config: RealtimeConfig, is_item_V: np.ndarray
    ) -> WindowLoss:
        """See `WindowLoss`."""
        used = {"next": config.discovery_share < 1, "new": config.discovery_share > 0}
        return WindowLoss(channel.network, config, examples, is_item_V, [task for task in TASKS if used[task]])


fit = RealtimeFit()
