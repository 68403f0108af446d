"""Layers of the session model: a candidate that asks a sequence, sequences related to each other, experts for tasks.

Shape letters: B requests, C candidates, N events (or sessions), D width, H heads, E experts, T tasks. Padding never
changes a result: it gets no weight, and a row without events gives zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeedForward(nn.Sequential):
    """Two layers beside a bypass, pre-norm."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        fed: Tensor = x + super().forward(x)
        return fed


class Attention(nn.Module):
    """Multi-head attention of queries on a masked sequence, without bypass; zeros where a row's mask is empty."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.output = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.keys_values = nn.Linear(width, 2 * width)

    def project_keys_values(self, event_BND: Tensor) -> Tensor:
        """Keys and values [2, B, H, N, D/H] of a sequence, once for all who ask."""
        B, N, D = event_BND.shape
        read: Tensor = self.keys_values(event_BND).view(B, N, 2, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        return read

    def forward(self, query_BCD: Tensor, read: Tensor, mask_BN: Tensor) -> Tensor:
        """[B, C, D]."""
        B, C, D = query_BCD.shape
        key_BHNd, value_BHNd = read
        query_BHCd = self.query(query_BCD).view(B, C, self.heads, D // self.heads).transpose(1, 2)
        logit_BHCN = query_BHCd @ key_BHNd.transpose(2, 3) / (D // self.heads) ** 0.5
        if bool(mask_BN.all()):  # as in every request alone: hundreds of candidates are not gone over twice more
            weight_BHCN = logit_BHCN.softmax(-1)
        else:
            logit_BHCN = logit_BHCN.masked_fill(~mask_BN[:, None, None], float("-inf"))
            # A row without events has only -inf: its softmax is NaN, and its weights are zero.
            weight_BHCN = logit_BHCN.softmax(-1).nan_to_num(0.0)
        seen: Tensor = self.output((weight_BHCN @ value_BHNd).transpose(1, 2).reshape(B, C, D))
        return seen


class Encoder(nn.Module):
    """A transformer block over a masked sequence: every event sees the others (pre-norm)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.feed = FeedForward(width, dropout)

    def forward(self, event_BND: Tensor, mask_BN: Tensor) -> Tensor:
        """[B, N, D]; zeros at padding."""
        normal_BND = self.norm(event_BND)
        event_BND = event_BND + self.attention(normal_BND, self.attention.project_keys_values(normal_BND), mask_BN)
        encoded: Tensor = self.feed(event_BND) * mask_BN[..., None]
        return encoded


class CandidateDecoder(nn.Module):
    """A transformer block whose query is the candidate: what a sequence says about it, and nothing about the others."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.item_norm, self.event_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.feed = Attention(width, heads), FeedForward(width, dropout)

    def project_keys_values(self, event_BND: Tensor) -> Tensor:
        """The part that does not depend on candidates."""
        if not torch.is_grad_enabled() and not event_BND.shape[1]:
            return event_BND  # which nobody will read
        return self.attention.project_keys_values(self.event_norm(event_BND))

    def forward(self, item_BCD: Tensor, read: Tensor, mask_BN: Tensor) -> Tensor:
        """[B, C, D]; zeros for a request without events."""
        if not torch.is_grad_enabled() and not mask_BN.shape[1]:  # as of what hardly anybody ever says
            return torch.zeros_like(item_BCD)
        seen_BCD = self.attention(self.item_norm(item_BCD), read, mask_BN)
        told: Tensor = self.feed(seen_BCD) * mask_BN.any(1)[:, None, None]
        return told


class SessionPooling(nn.Module):
    """Plays pooled to sessions, and the sessions related to each other.

    A session is the mean of its plays, with a bias that says how long ago it was (bias encoding of DSIN, Feng et al.
    2019, 1905.06482). Differs: one block over sessions stands for DSIN's self-attention within and LSTM between them.
    """

    def __init__(self, width: int, sessions: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.sessions = sessions
        self.recency_embedding = nn.Embedding(sessions, width)
        nn.init.normal_(self.recency_embedding.weight, std=0.05)
        self.encoder = Encoder(width, heads, dropout)

    def forward(self, play_BLD: Tensor, session_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Sessions [B, S, D], newest first, and which of them there are [B, S]; `session_BL` from 1, 0 padding."""
        of_BSL = session_BL[:, None] == torch.arange(1, self.sessions + 1, device=session_BL.device)[:, None]
        count_BS1 = of_BSL.sum(2, keepdim=True)
        mean_BSD = of_BSL.to(play_BLD.dtype) @ play_BLD / count_BS1.clamp(min=1)
        mask_BS = count_BS1[..., 0] > 0
        return self.encoder((mean_BSD + self.recency_embedding.weight) * mask_BS[..., None], mask_BS), mask_BS


class MultiGateExperts(nn.Module):
    """A head for several tasks: shared experts, mixed for each task by a gate of its own.

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
        """[..., D] to logits [..., T]."""
        hidden = self.dropout(F.gelu(self.experts(x))).unflatten(-1, (self.shape[1], -1))
        gate = self.gates(x).unflatten(-1, self.shape).softmax(-1)
        # Each expert says what it says of each task: for hundreds of rows a third of the time of mixing experts first.
        said = (hidden @ self.weight_TD.T).transpose(-1, -2)
        logits: Tensor = (gate * said).sum(-1) + self.bias_T
        return logits
