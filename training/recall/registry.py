"""Fits of channels by name: `training.recall.<name>` has the function `fit`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

from recommender.recall.channel import RecallChannel
from recommender.recall.registry import CHANNELS
from training.data.plays import PARTS
from training.data.training_data import TrainingData, archive_plays
from training.workspace import Workspace

Channel = TypeVar("Channel", bound=RecallChannel)


def fit_channel(kind: type[Channel], data: TrainingData, config: Any, folder: Path) -> Channel:
    """Train on the `train` part of `data`; tune on its `validation` part if it has one.

    Args:
        kind: The channel, fitted by the module of its name.
        data: Training data of one fit.
        config: Config of a recipe, or a resolved config.
        folder: Folder for checkpoints. A fit that was killed and is started again with the same arguments resumes
            from there and gives the same result.
    """
    return cast(Channel, import_module(f"training.recall.{kind.name}").fit(data, config, folder))


def load_fitted_channels(workspace: Workspace, fit: str, data: TrainingData) -> dict[str, RecallChannel]:
    """The channels of a fit on the present marts, with the past plays of `data`."""
    fitted = workspace.list_fitted("channel", fit, CHANNELS)
    channels: dict[str, RecallChannel] = {
        name: CHANNELS[name].load(workspace.model_folder("channel", fit, name), data.vocabulary) for name in fitted
    }
    plays = archive_plays(data, PARTS)
    for channel in channels.values():
        channel.store_past_plays(plays)
    return channels
