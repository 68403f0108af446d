"""Recall: channels that each find candidates their own way. `CHANNELS` is the table; everything iterates over it."""

from training.recall.channel import Candidates, RecallChannel
from training.recall.favourites import Favourites
from training.recall.knowledge_graph import KnowledgeGraphWalks
from training.recall.long_short import LongShort
from training.recall.multi_interest import MultiInterest
from training.recall.popularity import Popularity
from training.recall.realtime import Realtime

CHANNELS: dict[str, type[RecallChannel]] = {
    channel.name: channel
    for channel in (Popularity, Realtime, LongShort, MultiInterest, KnowledgeGraphWalks, Favourites)
}

__all__ = ["CHANNELS", "Candidates", "RecallChannel"]
