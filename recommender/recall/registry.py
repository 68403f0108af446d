"""The registry of recall channels and collections; all other code iterates over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recommender.recall.channel import RecallChannel
from recommender.recall.collection_recall import CollectionRecall, Mlogs, Playlists
from recommender.recall.favorites import Favorites
from recommender.recall.knowledge_graph.channel import KnowledgeGraphWalks
from recommender.recall.long_short.channel import LongShort
from recommender.recall.multi_interest.channel import MultiInterest
from recommender.recall.popularity import Popularity
from recommender.recall.realtime import Realtime

CHANNELS: dict[str, type[RecallChannel]] = {
    channel.name: channel
    for channel in (Popularity, Realtime, LongShort, MultiInterest, KnowledgeGraphWalks, Favorites)
}

COLLECTIONS: dict[str, type[CollectionRecall]] = {kind.name: kind for kind in (Playlists, Mlogs)}
"""Recall of playlists and mlogs. Fitted after the channel `realtime`, whose item vectors they use."""


def load_collection_recall(
    folders: Mapping[str, Path], channels: Mapping[str, RecallChannel]
) -> dict[str, CollectionRecall]:
    """The collection recall that was saved into these folders, by name; empty without the channel `realtime`."""
    realtime = channels.get(Realtime.name)
    if not isinstance(realtime, Realtime):
        return {}
    return {name: COLLECTIONS[name].load(folder, realtime) for name, folder in folders.items()}
