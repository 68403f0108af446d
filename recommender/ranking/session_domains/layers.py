"""Layers of the session-domains ranker: candidate attention, self-attention, session pooling, multi-gate experts.

Shape letters: B requests, C candidates, N events (or sessions), S sessions, D width, H heads, d width of a head, E
experts, T tasks. Padding never changes a result: it gets zero weight, and a row without events gives zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeedForward(nn.Sequential):
    """Pre-norm feed-forward block of two layers with a residual connection."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return x + super().forward(x)


class Attention(nn.Module):
    """Multi-head cross-attention to a masked sequence, without residual connection; zeros for an empty mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.output = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.keys_values = nn.Linear(width, 2 * width)

    def project_keys_values(self, event_BND: Tensor) -> Tensor:
        """Return keys and values [2, B, H, N, D/H] of a sequence, computed once for all queries."""
        B, N, D = event_BND.shape
        projected: Tensor = self.keys_values(event_BND).view(B, N, 2, self.heads, D // self.heads)
        return projected.permute(2, 0, 3, 1, 4)

    def forward(self, query_BCD: Tensor, keys_values: Tensor, mask_BN: Tensor) -> Tensor:
        """Return [B, C, D]."""
        B, C, D = query_BCD.shape
        key_BHNd, value_BHNd = keys_values
        query_BHCd = self.query(query_BCD).view(B, C, self.heads, D // self.heads).transpose(1, 2)
        logit_BHCN = query_BHCd @ key_BHNd.transpose(2, 3) / (D // self.heads) ** 0.5
        logit_BHCN = logit_BHCN.masked_fill(~mask_BN[:, None, None], float("-inf"))
        # The softmax of a row without events is NaN, because all its logits are -inf; its weights become 0.
        weight_BHCN = logit_BHCN.softmax(-1).nan_to_num(0.0)
        return self.output((weight_BHCN @ value_BHNd).transpose(1, 2).reshape(B, C, D))


class Encoder(nn.Module):
    """Pre-norm transformer encoder block with self-attention over a masked sequence."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.feed = FeedForward(width, dropout)

    def forward(self, event_BND: Tensor, mask_BN: Tensor) -> Tensor:
        """Return [B, N, D]; zeros at padding."""
        normal_BND = self.norm(event_BND)
        event_BND = event_BND + self.attention(normal_BND, self.attention.project_keys_values(normal_BND), mask_BN)
        return self.feed(event_BND) * mask_BN[..., None]


class CandidateDecoder(nn.Module):
    """Transformer block with the candidate as query: the interest of a sequence in each candidate."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.item_norm, self.event_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.feed = Attention(width, heads), FeedForward(width, dropout)

    def project_keys_values(self, event_BND: Tensor) -> Tensor:
        """Return keys and values of the events, which do not depend on candidates."""
        if not event_BND.shape[1]:
            return event_BND  # `forward` does not read it
        return self.attention.project_keys_values(self.event_norm(event_BND))

    def forward(self, item_BCD: Tensor, keys_values: Tensor, mask_BN: Tensor) -> Tensor:
        """Return [B, C, D]; zeros for a request without events."""
        if not mask_BN.shape[1]:  # in batches of dense features alone, and often for explicit feedback
            return torch.zeros_like(item_BCD)
        attended_BCD = self.attention(self.item_norm(item_BCD), keys_values, mask_BN)
        return self.feed(attended_BCD) * mask_BN.any(1)[:, None, None]


class SessionPooling(nn.Module):
    """Mean-pools plays to sessions and applies self-attention over the sessions.

    Each session has a learned bias by its recency (bias encoding of DSIN, Feng et al. 2019, 1905.06482). Differs: one
    block over sessions replaces DSIN's self-attention within sessions and LSTM between them.
    """

    def __init__(self, width: int, sessions: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.sessions = sessions
        self.recency_embedding = nn.Embedding(sessions, width)
        nn.init.normal_(self.recency_embedding.weight, std=0.05)
        self.encoder = Encoder(width, heads, dropout)

    def forward(self, play_BLD: Tensor, session_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Return sessions [B, S, D], newest first, and their mask [B, S].

        `session_BL` numbers the session of each play from 1, the newest session; 0 is padding. S is 0 without plays.
        """
        if not session_BL.shape[1]:
            return play_BLD, session_BL > 0
        is_member_BSL = session_BL[:, None] == torch.arange(1, self.sessions + 1, device=session_BL.device)[:, None]
        count_BS1 = is_member_BSL.sum(2, keepdim=True)
        mean_BSD = is_member_BSL.to(play_BLD.dtype) @ play_BLD / count_BS1.clamp(min=1)
        mask_BS = count_BS1[..., 0] > 0
        return self.encoder((mean_BSD + self.recency_embedding.weight) * mask_BS[..., None], mask_BS), mask_BS


class MultiGateExperts(nn.Module):
    """Multi-task head (MMoE): shared experts, mixed by one gate per task.

    Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD.
    """

    def __init__(self, width: int, hidden: int, tasks: int, experts: int, dropout: float) -> None:
        super().__init__()
        self.experts, self.gates = nn.Linear(width, experts * hidden), nn.Linear(width, tasks * experts)
        self.shape = tasks, experts
        self.dropout = nn.Dropout(dropout)
        self.weight_TD = nn.Parameter(torch.randn(tasks, hidden) * hidden**-0.5)
        self.bias_T = nn.Parameter(torch.zeros(tasks))

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., D] to logits [..., T]."""
        hidden = self.dropout(F.gelu(self.experts(x))).unflatten(-1, (self.shape[1], -1))
        gate = self.gates(x).unflatten(-1, self.shape).softmax(-1)
        # Projecting experts to tasks before mixing takes a third of the time of mixing first, for hundreds of rows.
        expert_logits = (hidden @ self.weight_TD.T).transpose(-1, -2)
        return (gate * expert_logits).sum(-1) + self.bias_T
