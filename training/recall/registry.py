"""The registry of recall channels and collections; all other code iterates over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.data.training_data import TrainingData
from training.data.vocabulary import Vocabulary
from training.engine.workspace import Workspace
from training.recall.channel import RecallChannel
from training.recall.collection_recall import CollectionRecall, Mlogs, Playlists
from training.recall.favourites import Favourites
from training.recall.knowledge_graph.channel import KnowledgeGraphWalks
from training.recall.long_short.channel import LongShort
from training.recall.multi_interest.channel import MultiInterest
from training.recall.popularity import Popularity
from training.recall.realtime import Realtime

CHANNELS: dict[str, type[RecallChannel]] = {
    channel.name: channel
    for channel in (Popularity, Realtime, LongShort, MultiInterest, KnowledgeGraphWalks, Favourites)
}

COLLECTIONS: dict[str, type[CollectionRecall]] = {kind.name: kind for kind in (Playlists, Mlogs)}
"""Recall of playlists and mlogs. Fitted after the channel `realtime`, whose item vectors they use."""


def load_channels(folders: Mapping[str, Path], vocabulary: Vocabulary) -> dict[str, RecallChannel]:
    """The channels that were saved into these folders, by name."""
    return {name: CHANNELS[name].load(folder, vocabulary) for name, folder in folders.items()}


def load_fitted_channels(workspace: Workspace, fit: str, data: TrainingData) -> dict[str, RecallChannel]:
    """The channels of a fit on the present marts, which read what they store of past plays from `data`."""
    fitted = workspace.list_fitted("channel", fit, CHANNELS)
    channels = load_channels({name: workspace.model_folder("channel", fit, name) for name in fitted}, data.vocabulary)
    for channel in channels.values():
        channel.read_past_plays(data)
    return channels


def load_collection_recall(
    folders: Mapping[str, Path], channels: Mapping[str, RecallChannel]
) -> dict[str, CollectionRecall]:
    """The collection recall that was saved into these folders, by name; empty without the channel `realtime`."""
    realtime = channels.get(Realtime.name)
    if not isinstance(realtime, Realtime):
        return {}
    return {name: COLLECTIONS[name].load(folder, realtime) for name, folder in folders.items()}
