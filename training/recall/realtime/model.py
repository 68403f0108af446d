"""Network of the realtime channel."""

from __future__ import annotations

from training.nn.item_tower import ItemCodes
from training.recall.next_item_network import NextItemNetwork
from training.recall.realtime.config import RealtimeConfig


class RealtimeNetwork(NextItemNetwork):
    """`NextItemNetwork` with the config of the channel."""

    def __init__(self, config: RealtimeConfig, codes: ItemCodes) -> None:
        super().__init__(config.items, config.encoder, config.loss.temperature, codes)
