"""Recall: channels that each find candidates their own way. `CHANNELS` is the table; everything iterates over it."""

from collections.abc import Mapping
from pathlib import Path

from training.data.collections import CollectionIndex
from training.data.vocabulary import Vocabulary
from training.recall.channel import Candidates, RecallChannel
from training.recall.collection_recall import CollectionRecall, Mlogs, Playlists
from training.recall.favourites import Favourites
from training.recall.knowledge_graph.channel import KnowledgeGraphWalks
from training.recall.long_short.channel import LongShort
from training.recall.multi_interest.channel import MultiInterest
from training.recall.popularity import Popularity
from training.recall.realtime.channel import Realtime

CHANNELS: dict[str, type[RecallChannel]] = {
    channel.name: channel
    for channel in (Popularity, Realtime, LongShort, MultiInterest, KnowledgeGraphWalks, Favourites)
}

COLLECTIONS: dict[str, type[CollectionRecall]] = {kind.name: kind for kind in (Playlists, Mlogs)}
"""What is recalled besides tracks: fitted after `realtime`, whose vectors they have."""


def load_channels(folders: Mapping[str, Path], vocabulary: Vocabulary) -> dict[str, RecallChannel]:
    """What `save` wrote into each folder, by name."""
    return {name: CHANNELS[name].load(folder, vocabulary) for name, folder in folders.items()}


def load_collection_recall(
    folders: Mapping[str, Path], channels: Mapping[str, RecallChannel]
) -> dict[str, CollectionRecall]:
    """What `save` wrote into each folder, by name, with the `realtime` among the channels; none without it."""
    realtime = channels.get(Realtime.name)
    if not isinstance(realtime, Realtime):
        return {}
    return {name: COLLECTIONS[name].load(folder, realtime) for name, folder in folders.items()}


def load_collection_indexes(folders: Mapping[str, Path]) -> dict[str, CollectionIndex]:
    """The containers themselves, without what recalls them."""
    return {name: COLLECTIONS[name].load_collection_index(folder) for name, folder in folders.items()}


__all__ = [
    "CHANNELS",
    "COLLECTIONS",
    "Candidates",
    "CollectionRecall",
    "RecallChannel",
    "load_channels",
    "load_collection_indexes",
    "load_collection_recall",
]
