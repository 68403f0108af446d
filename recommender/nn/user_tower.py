"""The state after the last event of a sequence, from the weights of a trained `UserTower` (`training.networks.user_tower`).

Legend: L events, D width.
"""

from __future__ import annotations

import numpy as np

from recommender.array_types import Floats, Ints, Weights
from recommender.nn.compiled_layers import Block, Dense, normalize, transformer_block

MAX_BEHAVIORS = 32
GAP_BUCKETS = 28
GAP_BOUNDS = (2 ** np.arange(GAP_BUCKETS - 1) - 1) * 1_000_000
"""Longest gap (µs) of each code except the last."""


class UserTowerProgram:
    """A trained `UserTower` for one sequence without padding, compiled.

    Args:
        weights: Weights of the tower.
        layers: Number of blocks.
        heads: Attention heads of a block.
    """

    def __init__(self, weights: Weights, layers: int, heads: int) -> None:
        self.behavior_XD, self.gap_XD, self.position_LD = (
            weights[f"{name}.weight"] for name in ("behavior", "gap", "position")
        )
        self.blocks = [_merge_block(weights, f"blocks.{number}", heads) for number in range(layers)]
        self.heads = heads
        self.norm_D, self.bias_D = weights["norm.weight"], weights["norm.bias"]

    def last_state(self, item_LD: Floats, behavior_L: Ints, gap_L: Ints) -> Floats:
        """State [1, D] after the last of at least one event; gaps in µs. See `UserTower`."""
        behavior_L = np.minimum(behavior_L, MAX_BEHAVIORS - 1)
        token_LD = item_LD + self.behavior_XD[behavior_L] + self.gap_XD[GAP_BOUNDS.searchsorted(gap_L)]
        token_LD += self.position_LD[: len(token_LD)]
        for number, block in enumerate(self.blocks, start=1):
            is_last = number == len(self.blocks)
            token_LD = transformer_block(token_LD, block, self.heads, len(token_LD) - 1 if is_last else 0, not is_last)
        return normalize(token_LD) * self.norm_D + self.bias_D


def _merge_block(weights: Weights, name: str, heads: int) -> Block:
    output = Dense.of(weights, f"{name}.output")
    width = len(output.bias_O)
    projections = Dense.of(weights, f"{name}.projections", f"{name}.attention_norm")
    return Block(
        projections.scale_first(width, (width // heads) ** -0.5),
        output,
        Dense.of(weights, f"{name}.feed.0", f"{name}.feed_norm"),
        Dense.of(weights, f"{name}.feed.3"),
    )
