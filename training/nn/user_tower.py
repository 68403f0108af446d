"""User tower: a sequence of events as one state per position, by weighted averaging or self-attention with a causal mask.

Event tokens are the sum of item vector, behavior, time since the previous event and, for attention, a positional encoding.
Self-attention: Kang, McAuley, "Self-Attentive Sequential Recommendation" (ICDM 2018), arXiv 1808.09781, with pre-norm
and with behaviors and gaps in the tokens. Averaging: Covington, Adams, Sargin, "Deep Neural Networks for YouTube
Recommendations" (RecSys 2016). For another block see `GatedBlock`.

Legend: B users, L events, D width, H heads, M positions.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nn.byte_dropout import ByteDropout

Pooling = Literal["average", "attention"]
BlockKind = Literal["residual", "gated"]
MAX_BEHAVIOURS = 32
GAP_BUCKETS = 28

GAP_BUCKET_BOUNDS = (2 ** torch.arange(GAP_BUCKETS - 1) - 1) * 1_000_000
"""Longest gap (µs) of each code except the last."""


def bucketize_gap(microseconds: Tensor) -> Tensor:
    """Logarithmic code of a time gap: 0 for none, then one more per doubling of the seconds (27: over two years)."""
    return torch.bucketize(microseconds, GAP_BUCKET_BOUNDS.to(microseconds.device))


class UserTower(nn.Module):
    """States [B, L, D] of sequences padded right.

    A state depends on its own and earlier events only, so every position can be trained.
    """

    def __init__(
        self,
        width: int,
        length: int,
        pooling: Pooling,
        *,
        layers: int,
        heads: int,
        dropout: float,
        block: BlockKind = "residual",
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.behaviour = nn.Embedding(MAX_BEHAVIOURS, width)
        self.gap = nn.Embedding(GAP_BUCKETS, width)
        self.position = nn.Embedding(length, width)
        for table in (self.behaviour, self.gap, self.position):
            nn.init.normal_(table.weight, std=0.02)
        self.gate = nn.Embedding(MAX_BEHAVIOURS, 1)
        nn.init.zeros_(self.gate.weight)
        self.dropout = ByteDropout(dropout)
        count = layers if pooling == "attention" else 0
        self.blocks = nn.ModuleList(BLOCKS[block](width, heads, dropout) for _ in range(count))
        self.norm = nn.LayerNorm(width)

    def forward(self, item_BLD: Tensor, behaviour_BL: Tensor, gap_BL: Tensor) -> Tensor:
        """States of all positions [B, L, D].

        Args:
            item_BLD: Item vectors.
            behaviour_BL: Behavior codes of a SequenceBatch.
            gap_BL: `bucketize_gap` of the time since the previous event.
        """
        token_BLD = self._tokens(item_BLD, behaviour_BL, gap_BL)
        if self.pooling == "average":
            # Learned weight of each behavior, since a skip is weaker evidence of interest than a full play.
            weight_BL1 = self.gate(behaviour_BL.clamp(max=MAX_BEHAVIOURS - 1)).exp()
            sum_BLD = (weight_BL1 * token_BLD).cumsum(1)
            return self.norm(sum_BLD / weight_BL1.cumsum(1))  # type: ignore[no-any-return]
        for block in self.blocks:
            token_BLD = block(token_BLD)
        return self.norm(token_BLD)  # type: ignore[no-any-return]

    def forward_at(
        self, item_BLD: Tensor, behaviour_BL: Tensor, gap_BL: Tensor, row_M: Tensor, position_M: Tensor
    ) -> Tensor:
        """States of `forward` at M positions [M, D]; cheaper, since the last feed-forward layer computes only these."""
        if not self.blocks:
            return self(item_BLD, behaviour_BL, gap_BL)[row_M, position_M]  # type: ignore[no-any-return]
        token_BLD = self._tokens(item_BLD, behaviour_BL, gap_BL)
        for block in self.blocks[:-1]:
            token_BLD = block(token_BLD)
        return self.norm(self.blocks[-1].forward_at(token_BLD, row_M, position_M))  # type: ignore[no-any-return,operator]

    def forward_last(self, item_BLD: Tensor, behaviour_BL: Tensor, gap_BL: Tensor, length_B: Tensor) -> Tensor:
        """States [B, D] at the last of `length_B` events, or at the first position of an empty sequence.

        Equal to `forward` up to rounding, but cheaper: the last block computes a single position per sequence.
        """
        row_B, last_B = torch.arange(len(item_BLD), device=item_BLD.device), (length_B - 1).clamp(min=0)
        if self.training or not self.blocks:
            return self.forward_at(item_BLD, behaviour_BL, gap_BL, row_B, last_B)
        token_BLD = self._tokens(item_BLD, behaviour_BL, gap_BL)
        for block in self.blocks[:-1]:
            token_BLD = block(token_BLD)
        return self.norm(self.blocks[-1].forward_last(token_BLD, last_B))  # type: ignore[no-any-return,operator]

    def _tokens(self, item_BLD: Tensor, behaviour_BL: Tensor, gap_BL: Tensor) -> Tensor:
        behaviour_BL = behaviour_BL.clamp(max=MAX_BEHAVIOURS - 1)
        token_BLD = item_BLD + self.behaviour(behaviour_BL) + self.gap(gap_BL)
        if self.pooling == "attention":
            token_BLD = token_BLD + self.position.weight[: token_BLD.shape[1]]
        return self.dropout(token_BLD)  # type: ignore[no-any-return]


class TransformerBlock(nn.Module):
    """Causal multi-head attention and a feed-forward layer, pre-norm, with residual connections."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, ByteDropout(dropout)
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), ByteDropout(dropout), nn.Linear(2 * width, width)
        )

    def forward(self, token_BLD: Tensor) -> Tensor:
        return self.residual_ffn(token_BLD, self.attend(token_BLD))

    def forward_at(self, token_BLD: Tensor, row_M: Tensor, position_M: Tensor) -> Tensor:
        """Output of `forward` at M positions [M, D]."""
        return self.residual_ffn(token_BLD[row_M, position_M], self.attend(token_BLD)[row_M, position_M])

    def forward_last(self, token_BLD: Tensor, position_B: Tensor) -> Tensor:
        """Output of `forward` at one position of each row [B, D]; cheaper than `forward_at`."""
        row_B = torch.arange(len(token_BLD), device=token_BLD.device)
        return self.residual_ffn(token_BLD[row_B, position_B], self.attend_last(token_BLD, position_B))

    def residual_ffn(self, token: Tensor, attended: Tensor) -> Tensor:
        """Residual connection and feed-forward layer of tokens [..., D] with their attention output."""
        token = token + self.dropout(self.output(attended))
        return token + self.feed(self.feed_norm(token))  # type: ignore[no-any-return]

    def attend(self, token_BLD: Tensor) -> Tensor:
        """Attention output of each position over itself and earlier positions [B, L, D]."""
        B, L, D = token_BLD.shape
        split = self.projections(self.attention_norm(token_BLD)).view(B, L, 3, self.heads, D // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        # Padding is on the right, so the causal mask hides it from every event. Dropout applies to the attention output
        # rather than to its weights, which then never have to be stored; this takes a quarter of the time.
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return attended.transpose(1, 2).reshape(B, L, D)

    def attend_last(self, token_BLD: Tensor, position_B: Tensor) -> Tensor:
        """Attention output of one position of each row [B, D]."""
        (B, L, D), token_BLD = token_BLD.shape, self.attention_norm(token_BLD)
        weight, bias = self.projections.weight, self.projections.bias
        token_BD = token_BLD[torch.arange(B, device=token_BLD.device), position_B]
        query = functional.linear(token_BD, weight[:D], bias[:D]).view(B, self.heads, 1, D // self.heads)
        read = functional.linear(token_BLD, weight[D:], bias[D:]).view(B, L, 2, self.heads, D // self.heads)
        key, value = read.permute(2, 0, 3, 1, 4)
        is_visible_BL = torch.arange(L, device=token_BLD.device) <= position_B[:, None]
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=is_visible_BL[:, None, None])
        return attended.reshape(B, D)


class GatedBlock(TransformerBlock):
    """A block whose two layers are each multiplied by a gate, the sigmoid of a projection of the residual stream.

    Borisyuk et al., "From Features to Transformers: Redefining Ranking for Scalable Impact" (2025), arXiv 2502.03417
    (LiGR); in a sequence recommender with sampled softmax: Tikhonovich et al., "eSASRec: Enhancing Transformer-based
    Recommendations in a Modular Fashion" (RecSys 2025), arXiv 2508.06450. Different from eSASRec: the feed-forward
    layer is the one of `TransformerBlock`, not SwiGLU.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__(width, heads, dropout)
        self.attention_gate, self.feed_gate = nn.Linear(width, width), nn.Linear(width, width)

    def residual_ffn(self, token: Tensor, attended: Tensor) -> Tensor:
        """See `TransformerBlock`."""
        token = token + self.attention_gate(token).sigmoid() * self.dropout(self.output(attended))
        return token + self.feed_gate(token).sigmoid() * self.feed(self.feed_norm(token))  # type: ignore[no-any-return]


BLOCKS: dict[BlockKind, type[TransformerBlock]] = {"residual": TransformerBlock, "gated": GatedBlock}
