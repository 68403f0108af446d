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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from config.dataclass_io import Section
from recommender.array_types import Floats, Ints
from recommender.nn.compiled_layers import Dense, attend, dense, feed_forward, gelu, normalize, to_array, unit_rows
from recommender.nn.item_tower import ItemCodes, ItemTower
from recommender.recall.next_item_network import (
    NextItemConfig,
    NextItemNetwork,
    NextItemProgram,
    RecallNetwork,
    SampledSoftmaxConfig,
    WindowSamplingConfig,
)
from recommender.recall.repeat_features import ACTIVATIONS, DECAYS, FEATURE_NAMES


@dataclass(frozen=True)
class RepeatScorerConfig(Section):
    """Long-term interest and the score of repeated tracks; see `LongShortNetwork`."""

    hidden: int
    max_repeat_items: int


@dataclass(frozen=True)
class SessionSamplingConfig(WindowSamplingConfig):
    """Sampling of past sessions, and of as many event windows."""

    min_history_plays: int
    targets_per_session: int


@dataclass(frozen=True)
class LongShortLossConfig(SampledSoftmaxConfig):
    """Repeat loss plus item losses."""

    item_weight: float


@dataclass(frozen=True)
class LongShortConfig(NextItemConfig):
    """Configuration of the long_short channel; `training/recipes/small.yaml` says what its fields mean."""

    repeats: RepeatScorerConfig
    sampling: SessionSamplingConfig
    loss: LongShortLossConfig
    discovery_share_grid: tuple[float, ...]
    discovery_share: float | None = None  # fraction of candidates that are new to the user; None: tuned on validation


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

    def program(self) -> LongShortProgram:
        """See `RecallNetwork`."""
        return LongShortProgram(self)

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


class LongShortProgram:
    """A trained `LongShortNetwork` for one request, compiled."""

    def __init__(self, network: LongShortNetwork) -> None:
        self.short, tower = NextItemProgram(network.short), network.short.items
        self.items, self.artist_XD, self.artist_V = tower, to_array(tower.artist.weight), tower.codes.artist_V.numpy()
        self.mean_F, self.deviation_F = to_array(network.mean_F), to_array(network.deviation_F)
        layers = {name: Dense.of(one) for name, one in network.named_modules() if isinstance(one, nn.Linear)}
        width = network.to_short.out_features
        self.layers = layers | {
            f"sets.{name}.query": layers[f"sets.{name}.query"].scale_first(width, width**-0.5) for name in network.sets
        }
        self.long_norm_D, self.long_bias_D = to_array(network.long_norm.weight), to_array(network.long_norm.bias)
        self.log_mixture_P = to_array(network.mixture_P.log_softmax(0))

    def score(
        self, events: Sequence[Ints], query_gap: int, repeat_item_M: Ints, feature_MF: Floats
    ) -> tuple[Floats, Floats]:
        """Query [1, D] of the task `new`, and repeat scores [M].

        Args:
            events: Tracks, behaviors and gaps (µs) of the most recent events.
            query_gap: µs from the end of the last event to the request.
            repeat_item_M: Tracks of the history.
            feature_MF: Their repeat features.
        """
        layers, width = self.layers, self.artist_XD.shape[1]
        short_1D = long_1D = np.zeros((1, width), dtype=np.float32)
        if len(events[0]):
            short_1D = dense(self.short.last_state(*events), layers["to_short"])
        normal_MF = np.minimum(np.maximum((feature_MF - self.mean_F) / self.deviation_F, -5), 5)
        summary_F2 = np.zeros((2, len(self.mean_F)), dtype=np.float32)
        if len(normal_MF):
            summary_F2[0] = np.add.reduce(normal_MF) / np.float32(len(normal_MF))
            summary_F2[1] = np.maximum.reduce(normal_MF)
        user_1D = feed_forward(summary_F2.reshape(1, -1), layers["user.0"], layers["user.2"])
        facets = self._facet_vectors(repeat_item_M)
        if len(normal_MF):
            read = [self._read_set(name, user_1D, facet_MD) for name, facet_MD in facets.items()]
            read_1D = normalize(dense(np.concatenate(read, axis=1), layers["to_long"]))
            long_1D = read_1D * self.long_norm_D + self.long_bias_D
        gate_1D = 1 / (1 + np.exp(-dense(np.concatenate([short_1D, long_1D, user_1D], axis=1), layers["gate"])))
        gated_1D = gate_1D * short_1D + (1 - gate_1D) * long_1D
        query = self.short.query("next", gated_1D, query_gap), unit_rows(short_1D), unit_rows(long_1D)
        vector_MD = unit_rows(facets["track"] + facets["artist"] + facets["facet"])
        similarity_M3 = 3 * vector_MD @ np.concatenate(query).T
        return self.short.query("new", gated_1D, query_gap), self._repeat_scores(feature_MF, normal_MF, similarity_M3)

    def _read_set(self, name: str, user_1D: Floats, member_MD: Floats) -> Floats:
        query, value = self.layers[f"sets.{name}.query"], self.layers[f"sets.{name}.value"]
        return dense(attend(dense(user_1D, query), member_MD, member_MD, 1, False), value)

    def _repeat_scores(self, feature_MF: Floats, normal_MF: Floats, similarity_M3: Floats) -> Floats:
        layers = self.layers
        hidden_MX = feed_forward(np.concatenate([normal_MF, similarity_M3], axis=1), layers["deep.0"], layers["deep.3"])
        gelu(hidden_MX)
        score_M = dense(hidden_MX, layers["deep.5"])[:, 0] + dense(normal_MF, layers["wide"])[:, 0]
        activation_M: Floats = np.logaddexp.reduce(feature_MF[:, ACTIVATIONS] + self.log_mixture_P, axis=1)
        return score_M + activation_M

    def _facet_vectors(self, items: Ints) -> dict[str, Floats]:
        vector_MD, facet_MD = self.items.rows(items), self.items.facet_rows(items)
        artist_MD = self.artist_XD[self.artist_V[items]]
        return {"track": vector_MD - artist_MD - facet_MD, "artist": artist_MD, "facet": facet_MD}


@torch.no_grad()
def _init_identity(projection: nn.Linear, parts: int) -> None:
    """Initialize a projection to the sum of the `parts` equal blocks of its input."""
    projection.weight.copy_(torch.eye(projection.out_features).repeat(1, parts))
    projection.bias.zero_()
