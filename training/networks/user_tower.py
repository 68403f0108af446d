"""User tower: a sequence of events as one state per position, by self-attention with a causal mask.

Event tokens are the sum of item vector, behavior, time since the previous event and a positional encoding. Kang, McAuley,
"Self-Attentive Sequential Recommendation" (ICDM 2018), arXiv 1808.09781, with pre-norm and with behaviors and gaps in the
tokens.

Legend: B users, L events, D width, H heads, M positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recommender.nn.user_tower import GAP_BOUNDS, GAP_BUCKETS, MAX_BEHAVIORS

MASK_LEVELS = 256


class ByteDropout(nn.Module):
    """In training, sets each value to zero with probability `rate` and scales the others up to keep the mean.

    One random byte per value is faster on CPUs than torch's dropout (docs/adr/0043). Srivastava et al., "Dropout: A Simple Way to
    Prevent Neural Networks from Overfitting" (JMLR 2014). Difference: the rate is rounded to a multiple of 1/256.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate, self._dropped = rate, min(round(rate * MASK_LEVELS), MASK_LEVELS - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        if not self.training or not self._dropped:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.rate)
        random_bytes = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        is_kept = (random_bytes.view(torch.uint8)[: x.numel()] >= self._dropped).view(x.shape)
        return x * is_kept.to(x.dtype).mul_(MASK_LEVELS / (MASK_LEVELS - self._dropped))


GAP_BUCKET_BOUNDS = torch.from_numpy(GAP_BOUNDS)


def bucketize_gap(microseconds: Tensor) -> Tensor:
    """Logarithmic code of a time gap: 0 for none, then one more per doubling of the seconds (27: over two years)."""
    return torch.bucketize(microseconds, GAP_BUCKET_BOUNDS.to(microseconds.device))


class UserTower(nn.Module):
    """States of sequences padded right.

    A state depends on its own and earlier events only, so every position can be trained.
    """

    def __init__(self, width: int, length: int, *, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.behavior = nn.Embedding(MAX_BEHAVIORS, width)
        self.gap = nn.Embedding(GAP_BUCKETS, width)
        self.position = nn.Embedding(length, width)
        for table in (self.behavior, self.gap, self.position):
            nn.init.normal_(table.weight, std=0.02)
        self.dropout = ByteDropout(dropout)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, item_BLD: Tensor, behavior_BL: Tensor, gap_BL: Tensor, row_M: Tensor, position_M: Tensor
    ) -> Tensor:
        """States at M positions [M, D]; the last feed-forward layer computes only these.

        Args:
            item_BLD: Item vectors.
            behavior_BL: Behavior codes of a SequenceBatch.
            gap_BL: `bucketize_gap` of the time since the previous event.
            row_M: Rows of the positions.
            position_M: Their places in the sequence.
        """
        token_BLD = self._tokens(item_BLD, behavior_BL, gap_BL)
        for block in self.blocks[:-1]:
            token_BLD = block(token_BLD)
        return self.norm(self.blocks[-1].forward_at(token_BLD, row_M, position_M))  # type: ignore[operator]

    def _tokens(self, item_BLD: Tensor, behavior_BL: Tensor, gap_BL: Tensor) -> Tensor:
        behavior_BL = behavior_BL.clamp(max=MAX_BEHAVIORS - 1)
        token_BLD = item_BLD + self.behavior(behavior_BL) + self.gap(gap_BL)
        return self.dropout(token_BLD + self.position.weight[: token_BLD.shape[1]])


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

    def residual_ffn(self, token: Tensor, attended: Tensor) -> Tensor:
        """Residual connection and feed-forward layer of tokens [..., D] with their attention output."""
        token = token + self.dropout(self.output(attended))
        return token + self.feed(self.feed_norm(token))

    def attend(self, token_BLD: Tensor) -> Tensor:
        """Attention output of each position over itself and earlier positions [B, L, D]."""
        B, L, D = token_BLD.shape
        split = self.projections(self.attention_norm(token_BLD)).view(B, L, 3, self.heads, D // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        # Padding is on the right, so the causal mask hides it from every event. Dropout applies to the attention output
        # rather than to its weights, which then never have to be stored; this takes a quarter of the time.
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return attended.transpose(1, 2).reshape(B, L, D)
