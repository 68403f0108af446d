"""Two interests in two spaces, a gate between them, and two answers: what will come again, and what will be new.

The short-term interest is the state of the realtime network (self-attention over the newest events), which learns from
windows as that channel does. The long-term one is attended by the user vector
over sets of what is remembered, one set a facet (tracks, artists, styles and the like), each with a projection of its
own: Lv et al., "SDM: Sequential Deep Matching Model for Online Large-scale Recommender System" (CIKM 2019), arXiv
1909.00385. Gate: G = σ(W[short; long; user]), out = G·short + (1−G)·long.

Information lifting carries slow, strong signals past the deep layers: `bypass` adds a linear reading of the memory's
numbers to the score of a repeat (the wide half of Cheng et al., "Wide & Deep Learning", 2016, arXiv 1606.07792, and
their sum with the deep half); `dormant` adds base-level activation as a mixture of power laws whose weights are
learned (Tran, Tricard, Hennequin 2024, arXiv 2408.16578, learn one decay), which brings back what was often heard long
ago. `off`: a remembered track is scored by the interests alone.

Differs from SDM: sets are attended over remembered tracks with multiplicity, facets are those of the tracks, and
repeats have a score of their own. Legend: B requests, L events, M remembered tracks, F numbers, D width, N items.
Knows nothing about files or serving.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nn.item_tower import ItemCodes
from training.recall.long_short.config import LongShortConfig
from training.recall.realtime.config import RealtimeConfig
from training.recall.realtime.model import RealtimeNetwork
from training.recall.repeat_consumption import DECAYS, FEATURE_NAMES


@dataclass(frozen=True)
class RequestBatch:
    """B requests as tensors: the newest events (padded right; gaps in µs), how long ago (µs) the last one ended, and
    the memory's tracks (0 none) and numbers.
    """

    item_BL: Tensor
    behaviour_BL: Tensor
    gap_BL: Tensor
    length_B: Tensor
    query_gap_B: Tensor
    repeat_item_BM: Tensor
    feature_BMF: Tensor

    def to(self, device: torch.device) -> RequestBatch:
        """The same on a device."""
        return RequestBatch(*(tensor.to(device) for tensor in vars(self).values()))


@dataclass(frozen=True)
class Interests:
    """Vectors [B, D] of the two interests and what the gate makes of them, the gate's mean [B] (1: all short), and the
    remembered tracks' vectors, as queries are compared with them.
    """

    short_BD: Tensor
    long_BD: Tensor
    gated_BD: Tensor
    gate_B: Tensor
    repeat_item_BMD: Tensor


class LongShortNetwork(nn.Module):
    """`interests` of requests, `repeat_scores` of what they remember, and `query` for what is new."""

    mean_F: Tensor
    deviation_F: Tensor

    def __init__(self, config: LongShortConfig, codes: ItemCodes) -> None:
        super().__init__()
        D, F = config.width, len(FEATURE_NAMES)
        self.settings = config
        self.short = RealtimeNetwork(short_term_config(config), codes)
        self.register_buffer("mean_F", torch.zeros(F))
        self.register_buffer("deviation_F", torch.ones(F))
        self.user = nn.Sequential(nn.Linear(2 * F, D), nn.GELU(), nn.Linear(D, D))
        self.sets = nn.ModuleDict({name: SetAttention(D) for name in ("track", "artist", "facet")})
        self.to_short = nn.Linear(D, D)
        self.to_long = nn.Linear(len(self.sets) * D, D)
        self.long_norm = nn.LayerNorm(D)
        self.gate = nn.Linear(3 * D, D)
        deep = 3 if config.lifting == "off" else F + 3
        self.deep = nn.Sequential(
            nn.Linear(deep, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.hidden // 2),
            nn.GELU(),
            nn.Linear(config.hidden // 2, 1),
        )
        self.wide = nn.Linear(F, 1)
        nn.init.zeros_(self.wide.weight)
        # Begin as "more of what is heard": interests that already are item vectors learn to differ from them.
        _init_identity(self.to_short, 1)
        _init_identity(self.to_long, len(self.sets))
        self.mixture_P = nn.Parameter(torch.zeros(len(DECAYS)))

    def fit_normalization(self, numbers_NF: Tensor) -> None:
        """Take the mean and deviation of the memory's numbers from a sample of training rows; once, before training."""
        if len(numbers_NF):
            self.mean_F.copy_(numbers_NF.mean(0))
            self.deviation_F.copy_(numbers_NF.std(0, unbiased=False).clamp(min=1e-3))

    def vectors(self, items: Tensor, as_cold: bool = False) -> Tensor:
        """Item vectors of length 1, as queries are compared with them; `as_cold`: see `ItemTower`."""
        return self.short.vectors(items, as_cold)

    def interests(self, requests: RequestBatch) -> Interests:
        """Both interests; zeros for the short one of a request without events, for the long one without memory."""
        last_BD = self.short.last_states(requests.item_BL, requests.behaviour_BL, requests.gap_BL, requests.length_B)
        short_BD = self.to_short(last_BD) * (requests.length_B > 0).unsqueeze(-1)

        mask_BM = requests.repeat_item_BM > 0
        numbers_BMF = self._normalize_features(requests.feature_BMF)
        user_BD = self._encode_user(numbers_BMF, mask_BM)
        parts = self._facet_vectors(requests.repeat_item_BM)
        read = [self.sets[name](user_BD, part_BMD, mask_BM) for name, part_BMD in parts.items()]
        long_BD = self.long_norm(self.to_long(torch.cat(read, dim=-1))) * mask_BM.any(-1, keepdim=True)
        if not self.settings.gate:
            gate_BD = torch.full_like(short_BD, 0.5)
        else:
            gate_BD = self.gate(torch.cat([short_BD, long_BD, user_BD], dim=-1)).sigmoid()
        out_BD = gate_BD * short_BD + (1 - gate_BD) * long_BD
        return Interests(short_BD, long_BD, out_BD, gate_BD.mean(-1), self._repeat_item_vectors(requests, parts))

    def query(self, task: str, requests: RequestBatch, interests: Interests) -> Tensor:
        """What to compare item vectors with [B, D], length 1; `task` is `next` (anything) or `new`."""
        return self.short.query(task, interests.gated_BD, requests.query_gap_B)

    def repeat_scores(self, requests: RequestBatch, interests: Interests) -> Tensor:
        """How much each remembered track may be wanted again [B, M]; -inf where there is none."""
        wanted_BD3 = torch.stack(
            [
                self.query("next", requests, interests),
                functional.normalize(interests.short_BD, dim=-1),
                functional.normalize(interests.long_BD, dim=-1),
            ],
            dim=-1,
        )
        likeness_BM3 = 3 * interests.repeat_item_BMD @ wanted_BD3
        lifting = self.settings.lifting
        if lifting == "off":
            score_BM = self.deep(likeness_BM3).squeeze(-1)
        else:
            numbers_BMF = self._normalize_features(requests.feature_BMF)
            score_BM = self.deep(torch.cat([numbers_BMF, likeness_BM3], dim=-1)).squeeze(-1)
            if lifting in ("bypass", "both"):
                score_BM = score_BM + self.wide(numbers_BMF).squeeze(-1)
            if lifting in ("dormant", "both"):
                score_BM = score_BM + self.base_level_activation(requests.feature_BMF)
        return score_BM.masked_fill(requests.repeat_item_BM == 0, -torch.inf)  # type: ignore[no-any-return]

    def base_level_activation(self, numbers_BMF: Tensor) -> Tensor:
        """Logarithm of Σ over listens of Σ over decays of weight · age ** -decay [B, M]; the weights are learned."""
        return torch.logsumexp(numbers_BMF[..., : len(DECAYS)] + self.mixture_P.log_softmax(0), dim=-1)

    def _normalize_features(self, numbers_BMF: Tensor) -> Tensor:
        return ((numbers_BMF - self.mean_F) / self.deviation_F).clamp(-5, 5)

    def _encode_user(self, numbers_BMF: Tensor, mask_BM: Tensor) -> Tensor:
        """Wide features of the user [B, D]: mean and largest of the memory's numbers (its last ones are the request's)."""
        mask_BM1 = mask_BM.unsqueeze(-1)
        mean_BF = (numbers_BMF * mask_BM1).sum(1) / mask_BM1.sum(1).clamp(min=1)
        largest_BF = numbers_BMF.masked_fill(~mask_BM1, -5).amax(1) if numbers_BMF.shape[1] else mean_BF
        return self.user(torch.cat([mean_BF, largest_BF], dim=-1))  # type: ignore[no-any-return]

    def _repeat_item_vectors(self, requests: RequestBatch, parts: dict[str, Tensor]) -> Tensor:
        """The sum of the parts is what the item tower gives, unless it takes some tracks for cold, as it does to learn."""
        if self.training:
            return self.vectors(requests.repeat_item_BM)
        return functional.normalize(parts["track"] + parts["artist"] + parts["facet"], dim=-1)

    def _facet_vectors(self, items: Tensor) -> dict[str, Tensor]:
        codes = self.short.items.codes
        return {
            "track": self.short.items.track(codes.track_V[items]) + self.short.items.content_embedding(items),
            "artist": self.short.items.artist(codes.artist_V[items]),
            "facet": self.short.items.facet_embedding(items),
        }


def short_term_config(config: LongShortConfig) -> RealtimeConfig:
    """The numbers of the short-term part and of what it learns from windows."""
    return RealtimeConfig(
        temperature=config.temperature,
        width=config.width,
        length=config.length,
        layers=config.layers,
        heads=config.heads,
        dropout=config.dropout,
        item_dropout=config.item_dropout,
        id_dropout=config.id_dropout,
        in_batch_negatives=config.in_batch_negatives,
        uniform_negatives=config.uniform_negatives,
        skip_negatives=config.skip_negatives,
        positions_per_batch=config.positions_per_batch,
        batch=config.batch,
        seed=config.seed,
    )


class SetAttention(nn.Module):
    """A set read by the user vector: softmax of scaled inner products, in a space of its own.

    The key's projection is applied to the query and the value's to the sum, which gives the same and costs one user
    rather than every member.
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
        return self.value(read_B11D[:, 0, 0])  # type: ignore[no-any-return]


@torch.no_grad()
def _init_identity(projection: nn.Linear, parts: int) -> None:
    """Make a projection the sum of the equal `parts` of what it reads."""
    projection.weight.copy_(torch.eye(projection.out_features).repeat(1, parts))
    projection.bias.zero_()
