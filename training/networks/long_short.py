"""Network of the long_short channel: two interests, a gate between them, a repeat score and a query for new tracks.

The short-term interest is the state of a `NextItemNetwork` over the most recent events. The long-term interest attends
with a user vector over the tracks of the history, as one set per facet (tracks, artists, other facets), each with its
own projection: Lv et al., "SDM: Sequential Deep Matching Model for Online Large-scale Recommender System" (CIKM 2019),
arXiv 1909.00385. Gate: G = σ(W[short; long; user]), output = G · short + (1 − G) · long.

Information lifting carries slow, strong signals past the deep layers of the repeat score:

- A bypass adds a linear function of the repeat features to the score (the wide part of Cheng et al., "Wide & Deep
  Learning for Recommender Systems", 2016, arXiv 1606.07792).
- Base-level activation is added as a mixture of power laws with learned weights (Tran, Tricard, Hennequin 2024,
  arXiv 2408.16578, learn one decay), which brings back tracks that were played often long ago.

Differences from SDM: attention is over the tracks of the history with multiplicity, facets belong to the tracks, and
repeats have their own score.

Legend: B requests, L events, M repeat items (tracks of the history), F repeat features, P decays, D width, N items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from recommender.recall.long_short.channel import repeat_items
from recommender.recall.long_short.program import LongShortConfig
from recommender.recall.repeat_features import ACTIVATIONS, DECAYS, FEATURE_NAMES
from recommender.recall.sequence_merge import merge_clicks
from recommender.user.user_batch import UserBatch
from training.networks.item_tower import ItemCodes, ItemTower
from training.networks.next_item import NextItemNetwork, RecallNetwork


@dataclass(frozen=True)
class RequestBatch:
    """B requests as tensors.

    `item_BL`, `behavior_BL`, `gap_BL` (µs): the most recent events, padded right; `length_B` of them. `query_gap_B`:
    time in µs from the end of the last event to the request. `repeat_item_BM`: tracks of the history, 0 = none.
    `feature_BMF`: their repeat features.
    """

    item_BL: Tensor
    behavior_BL: Tensor
    gap_BL: Tensor
    length_B: Tensor
    query_gap_B: Tensor
    repeat_item_BM: Tensor
    feature_BMF: Tensor


def build_requests(users: UserBatch, config: LongShortConfig, artist_of_track_V: np.ndarray) -> RequestBatch:
    """Input tensors of the network; the same code path in training and serving."""
    merged = merge_clicks(users, config.encoder.history_length)
    last_B = np.maximum(merged.length_B - 1, 0)
    ended_B = merged.columns["ended_at"][np.arange(len(users)), last_B]
    items, features = zip(*repeat_items(users, config, artist_of_track_V), strict=True)
    columns = (
        merged.columns["track_id"],
        merged.columns["behavior"],
        merged.columns["gap"],
        merged.length_B,
        np.where(merged.length_B > 0, users.request_at_B - ended_B, 0),
    )
    repeats = (pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True) for rows in (items, features))
    return RequestBatch(*(torch.from_numpy(column) for column in columns), *repeats)


@dataclass(frozen=True)
class Interests:
    """Short-term, long-term and gated interest [B, D].

    `repeat_item_BMD`: unit-length vectors of the repeat items.
    """

    short_BD: Tensor
    long_BD: Tensor
    gated_BD: Tensor
    repeat_item_BMD: Tensor


class LongShortNetwork(RecallNetwork):
    """Interests of requests, scores of repeat items, and queries for new tracks."""

    reads_facets = True

    mean_F: Tensor
    deviation_F: Tensor

    def __init__(self, config: LongShortConfig, codes: ItemCodes) -> None:
        super().__init__()
        D, F, hidden = config.items.width, len(FEATURE_NAMES), config.repeats.hidden
        self.short = NextItemNetwork(config, codes)
        self.register_buffer("mean_F", torch.zeros(F))
        self.register_buffer("deviation_F", torch.ones(F))
        self.user = nn.Sequential(nn.Linear(2 * F, D), nn.GELU(), nn.Linear(D, D))
        self.sets = nn.ModuleDict({name: SetAttention(D) for name in ("track", "artist", "facet")})
        self.to_short = nn.Linear(D, D)
        self.to_long = nn.Linear(len(self.sets) * D, D)
        self.long_norm = nn.LayerNorm(D)
        self.gate = nn.Linear(3 * D, D)
        self.deep = nn.Sequential(
            nn.Linear(F + 3, hidden),
            nn.GELU(),
            nn.Dropout(config.encoder.dropout),
            nn.Linear(hidden, hidden // 2),
            nn.GELU(),
            nn.Linear(hidden // 2, 1),
        )
        self.wide = nn.Linear(F, 1)
        nn.init.zeros_(self.wide.weight)
        # Initially the interests are item vectors themselves.
        _init_identity(self.to_short, 1)
        _init_identity(self.to_long, len(self.sets))
        self.mixture_P = nn.Parameter(torch.zeros(len(DECAYS)))

    def fit_normalization(self, feature_NF: Tensor) -> None:
        """Set mean and standard deviation of the repeat features from training rows; once, before training."""
        if len(feature_NF):
            self.mean_F.copy_(feature_NF.mean(0))
            self.deviation_F.copy_(feature_NF.std(0, unbiased=False).clamp(min=1e-3))

    @property
    def items(self) -> ItemTower:  # type: ignore[override]  # set in the other networks
        """See `RecallNetwork`."""
        return self.short.items

    def interests(self, requests: RequestBatch) -> Interests:
        """Both interests; the short-term one is 0 without recent events, the long-term one without repeat items."""
        last_BD = self.short.last_states(requests.item_BL, requests.behavior_BL, requests.gap_BL, requests.length_B)
        short_BD = self.to_short(last_BD) * (requests.length_B > 0).unsqueeze(-1)

        mask_BM = requests.repeat_item_BM > 0
        feature_BMF = self._normalize_features(requests.feature_BMF)
        user_BD = self._encode_user(feature_BMF, mask_BM)
        facets = self._facet_vectors(requests.repeat_item_BM)
        read = [self.sets[name](user_BD, facet_BMD, mask_BM) for name, facet_BMD in facets.items()]
        long_BD = self.long_norm(self.to_long(torch.cat(read, dim=-1))) * mask_BM.any(-1, keepdim=True)
        gate_BD = self.gate(torch.cat([short_BD, long_BD, user_BD], dim=-1)).sigmoid()
        gated_BD = gate_BD * short_BD + (1 - gate_BD) * long_BD
        return Interests(short_BD, long_BD, gated_BD, self.vectors(requests.repeat_item_BM))

    def query(self, task: str, requests: RequestBatch, interests: Interests) -> Tensor:
        """Unit-length queries [B, D] of a task (`next` or `new`)."""
        return self.short.query(task, interests.gated_BD, requests.query_gap_B)

    def repeat_scores(self, requests: RequestBatch, interests: Interests) -> Tensor:
        """Repeat logits [B, M]; -inf where there is no repeat item."""
        query_BD3 = torch.stack(
            [
                self.query("next", requests, interests),
                functional.normalize(interests.short_BD, dim=-1),
                functional.normalize(interests.long_BD, dim=-1),
            ],
            dim=-1,
        )
        similarity_BM3 = 3 * interests.repeat_item_BMD @ query_BD3
        feature_BMF = self._normalize_features(requests.feature_BMF)
        deep_BM1 = self.deep(torch.cat([feature_BMF, similarity_BM3], dim=-1)) + self.wide(feature_BMF)
        # Base-level activation: log Σ over listens and decays of weight · age ** -decay, with learned weights of the decays.
        activation_BMP = requests.feature_BMF[..., ACTIVATIONS] + self.mixture_P.log_softmax(0)
        score_BM = deep_BM1.squeeze(-1) + torch.logsumexp(activation_BMP, dim=-1)
        return score_BM.masked_fill(requests.repeat_item_BM == 0, -torch.inf)

    def _normalize_features(self, feature_BMF: Tensor) -> Tensor:
        return ((feature_BMF - self.mean_F) / self.deviation_F).clamp(-5, 5)

    def _encode_user(self, feature_BMF: Tensor, mask_BM: Tensor) -> Tensor:
        """User vector [B, D] from mean and maximum of the repeat features, whose last columns describe the request."""
        mask_BM1 = mask_BM.unsqueeze(-1)
        mean_BF = (feature_BMF * mask_BM1).sum(1) / mask_BM1.sum(1).clamp(min=1)
        max_BF = feature_BMF.masked_fill(~mask_BM1, -5).amax(1) if feature_BMF.shape[1] else mean_BF
        return self.user(torch.cat([mean_BF, max_BF], dim=-1))

    def _facet_vectors(self, items: Tensor) -> dict[str, Tensor]:
        tower, codes = self.items, self.items.codes
        return {
            "track": tower.track(codes.track_V[items]) + tower.content_embedding(items),
            "artist": tower.artist(codes.artist_V[items]),
            "facet": tower.facet_embedding(items),
        }


class SetAttention(nn.Module):
    """Attention of a user vector over a set: softmax of scaled inner products, in a learned space.

    The key projection is applied to the query and the value projection to the weighted sum. The result is the same, and
    it costs one vector per user instead of one per member.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.value = nn.Linear(width, width), nn.Linear(width, width)
        _init_identity(self.value, 1)

    def forward(self, user_BD: Tensor, member_BMD: Tensor, mask_BM: Tensor) -> Tensor:
        """[B, D]; the projection of zeros for an empty set."""
        query_B11D, member_B1MD = self.query(user_BD)[:, None, None], member_BMD[:, None]
        read_B11D = functional.scaled_dot_product_attention(
            query_B11D, member_B1MD, member_B1MD, attn_mask=mask_BM[:, None, None]
        )
        return self.value(read_B11D[:, 0, 0])


@torch.no_grad()
def _init_identity(projection: nn.Linear, parts: int) -> None:
    """Initialize a projection to the sum of the `parts` equal blocks of its input."""
    projection.weight.copy_(torch.eye(projection.out_features).repeat(1, parts))
    projection.bias.zero_()
