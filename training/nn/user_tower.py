"""A sequence of events as one state a position, each of what happened up to it: by averaging or by self-attention.

Legend: B users, L events, D width, H heads. Event tokens = item vector + behaviour + time since the event before (+
position, attention only). Self-attention: Kang, McAuley, "Self-Attentive Sequential Recommendation" (2018), arXiv
1808.09781, pre-norm and with behaviours and gaps in the tokens; averaging: Covington, Adams, Sargin, "Deep Neural
Networks for YouTube Recommendations" (RecSys 2016). Other blocks: see `GatedBlock` and `PointwiseBlock`. Knows nothing about the
catalogue or how the states are trained.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nn.byte_dropout import ByteDropout

Pooling = Literal["average", "attention"]
BlockKind = Literal["residual", "gated", "pointwise"]
MAX_BEHAVIOURS = 32
GAP_BUCKETS = 28
DISTANCE_BUCKETS = 16

GAP_BUCKET_BOUNDS = (2 ** torch.arange(GAP_BUCKETS - 1) - 1) * 1_000_000
"""The longest gap (µs) of each code but the last."""


def bucketize_gap(microseconds: Tensor) -> Tensor:
    """How long a gap is, as a code: 0 for none, then one more a doubling of the seconds (27: over two years)."""
    return torch.bucketize(microseconds, GAP_BUCKET_BOUNDS.to(microseconds.device))


class UserTower(nn.Module):
    """States [B, L, D] of sequences padded right. A state depends on its own and earlier events only, so it may be
    trained at every position.
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
        """`behaviour_BL`: codes of a SequenceBatch; `gap_BL`: `gap_code` of the time since the event before."""
        token_BLD = self._tokens(item_BLD, behaviour_BL, gap_BL)
        if self.pooling == "average":
            # Which behaviours count how much is learned: a skip says less of what is wanted than a full play.
            weight_BL1 = self.gate(behaviour_BL.clamp(max=MAX_BEHAVIOURS - 1)).exp()
            sum_BLD = (weight_BL1 * token_BLD).cumsum(1)
            return self.norm(sum_BLD / weight_BL1.cumsum(1))  # type: ignore[no-any-return]
        for block in self.blocks:
            token_BLD = block(token_BLD)
        return self.norm(token_BLD)  # type: ignore[no-any-return]

    def forward_at(
        self, item_BLD: Tensor, behaviour_BL: Tensor, gap_BL: Tensor, row_M: Tensor, place_M: Tensor
    ) -> Tensor:
        """The states [M, D] that `forward` has at some places of some rows, for less: the last block passes these on alone."""
        if not self.blocks:
            return self(item_BLD, behaviour_BL, gap_BL)[row_M, place_M]  # type: ignore[no-any-return]
        token_BLD = self._tokens(item_BLD, behaviour_BL, gap_BL)
        for block in self.blocks[:-1]:
            token_BLD = block(token_BLD)
        return self.norm(self.blocks[-1].forward_at(token_BLD, row_M, place_M))  # type: ignore[no-any-return,operator]

    def forward_last(self, item_BLD: Tensor, behaviour_BL: Tensor, gap_BL: Tensor, length_B: Tensor) -> Tensor:
        """States [B, D] after the last of `length_B` events, after the first where there is none; but for rounding those
        that `forward` has there, for less: the last block is asked for one position of each sequence alone.
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
    """Causal multi-head attention and a feed-forward layer, pre-norm, each beside a bypass."""

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

    def forward_at(self, token_BLD: Tensor, row_M: Tensor, place_M: Tensor) -> Tensor:
        """What `forward` gives at some places of some rows [M, D]."""
        return self.residual_ffn(token_BLD[row_M, place_M], self.attend(token_BLD)[row_M, place_M])

    def forward_last(self, token_BLD: Tensor, place_B: Tensor) -> Tensor:
        """What `forward` gives at one place of each row [B, D], for less than `at`."""
        row_B = torch.arange(len(token_BLD), device=token_BLD.device)
        return self.residual_ffn(token_BLD[row_B, place_B], self.attend_last(token_BLD, place_B))

    def residual_ffn(self, token: Tensor, seen: Tensor) -> Tensor:
        """What comes of tokens [..., D] with what each has seen."""
        token = token + self.dropout(self.output(seen))
        return token + self.feed(self.feed_norm(token))  # type: ignore[no-any-return]

    def attend(self, token_BLD: Tensor) -> Tensor:
        """What each position sees of itself and the ones before it [B, L, D]."""
        B, L, D = token_BLD.shape
        split = self.projections(self.attention_norm(token_BLD)).view(B, L, 3, self.heads, D // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        # Padding is on the right, so a causal mask keeps it from every real event. What was seen is dropped, not the weights
        # by which it is seen: these need not be written then, and all takes a fourth of the time.
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return seen.transpose(1, 2).reshape(B, L, D)

    def attend_last(self, token_BLD: Tensor, place_B: Tensor) -> Tensor:
        """What one position of each row sees [B, D]."""
        (B, L, D), token_BLD = token_BLD.shape, self.attention_norm(token_BLD)
        weight, bias = self.projections.weight, self.projections.bias
        token_BD = token_BLD[torch.arange(B, device=token_BLD.device), place_B]
        query = functional.linear(token_BD, weight[:D], bias[:D]).view(B, self.heads, 1, D // self.heads)
        read = functional.linear(token_BLD, weight[D:], bias[D:]).view(B, L, 2, self.heads, D // self.heads)
        key, value = read.permute(2, 0, 3, 1, 4)
        is_seen_BL = torch.arange(L, device=token_BLD.device) <= place_B[:, None]
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=is_seen_BL[:, None, None])
        return seen.reshape(B, D)


class GatedBlock(TransformerBlock):
    """A block whose two layers each pass a gate, σ of a projection of what the bypass carries.

    Borisyuk et al., "From Features to Transformers: Redefining Ranking for Scalable Impact" (2025), arXiv 2502.03417
    (LiGR); in a sequence recommender with sampled softmax: Tikhonovich et al., "eSASRec: Enhancing Transformer-based
    Recommendations in a Modular Fashion" (RecSys 2025), arXiv 2508.06450. Different from eSASRec: the feed-forward
    layer is the one of `Block`, not SwiGLU.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__(width, heads, dropout)
        self.attention_gate, self.feed_gate = nn.Linear(width, width), nn.Linear(width, width)

    def residual_ffn(self, token: Tensor, seen: Tensor) -> Tensor:
        """See `Block`."""
        token = token + self.attention_gate(token).sigmoid() * self.dropout(self.output(seen))
        return token + self.feed_gate(token).sigmoid() * self.feed(self.feed_norm(token))  # type: ignore[no-any-return]


class HSTUBlock(nn.Module):
    """Attention without a softmax: each position weighs each earlier one by SiLU of their likeness, and a gate takes the
    place of the feed-forward layer.

    Zhai et al., "Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative
    Recommendations" (ICML 2024), arXiv 2402.17152 (HSTU). Different there: a sum is divided by the longest length, not
    by the number of positions seen, so that padding would tell; the bias has a number for each distance, where here
    distances are told apart by their logarithms, and one for each time between, which here stands in the tokens.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.read_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections, self.output = nn.Linear(width, 4 * width), nn.Linear(width, width)
        self.distance = nn.Embedding(DISTANCE_BUCKETS, 1)
        nn.init.zeros_(self.distance.weight)
        self.dropout = ByteDropout(dropout)

    def forward(self, token_BLD: Tensor) -> Tensor:
        B, L, D = token_BLD.shape
        gate_BLD, *parts = functional.silu(self.projections(self.norm(token_BLD))).chunk(4, dim=-1)
        query, key, value = (part.view(B, L, self.heads, D // self.heads).transpose(1, 2) for part in parts)
        place_L = torch.arange(L, device=token_BLD.device)
        apart_LL = (place_L[:, None] - place_L).clamp(min=0)
        bias_LL = self.distance((apart_LL + 1).double().log2().long().clamp(max=DISTANCE_BUCKETS - 1)).squeeze(-1)
        weight_BHLL = functional.silu(query @ key.transpose(2, 3) + bias_LL).tril() / (place_L + 1)[:, None]
        read_BLD = (weight_BHLL @ value).transpose(1, 2).reshape(B, L, D)
        return token_BLD + self.output(self.dropout(self.read_norm(read_BLD) * gate_BLD))  # type: ignore[no-any-return]

    def forward_at(self, token_BLD: Tensor, row_M: Tensor, place_M: Tensor) -> Tensor:
        """What `forward` gives at some places of some rows [M, D]."""
        return self(token_BLD)[row_M, place_M]  # type: ignore[no-any-return]

    def forward_last(self, token_BLD: Tensor, place_B: Tensor) -> Tensor:
        """What `forward` gives at one place of each row [B, D]."""
        return self.forward_at(token_BLD, torch.arange(len(token_BLD), device=token_BLD.device), place_B)


BLOCKS: dict[BlockKind, type[TransformerBlock | HSTUBlock]] = {
    "residual": TransformerBlock,
    "gated": GatedBlock,
    "pointwise": HSTUBlock,
}
