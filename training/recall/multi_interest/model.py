"""A history of listens as several interest vectors: by dynamic routing or by self-attention.

Routing: Li et al., "Multi-Interest Network with Dynamic Routing for Recommendation at Tmall" (MIND, CIKM 2019), arXiv
1904.08030: one bilinear map S shared by all interests, logits that begin as fixed N(0, 1) numbers and are not learned,
K' = max(1, min(K, log2 n)) interests. Self-attention: Cen et al., "Controllable Multi-Interest Framework for
Recommendation" (ComiRec, KDD 2020), arXiv 2005.09347: softmax(W2 tanh(W1 H)).

Differs from both: n counts distinct tracks, as songs are heard again and again. A listen's weight is learned, by how
many came after it. Item vectors have length 1, so that agreement is multiplied by `sharpness`; in three rounds cosines
alone would hardly move a logit. The first logits are a fixed N(0, 1) projection of the track's vector, standardised
over the user's listens: random as in the paper, but the same for the same track, and like for like tracks; several
such projections are routed and the best outcome is kept. Label-aware attention is a softmax of power times logit, as a
cosine below 0 has no power. Legend: B users, L listens (0 none), K interests, S starts, M targets, D width. Knows
nothing about files or serving.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nn.byte_dropout import ByteDropout
from training.nn.item_tower import ItemCodes, ItemTower
from training.recall.multi_interest.config import MultiInterestConfig
from training.recall.realtime.model import TASKS

RECENCY_BUCKETS = 16


@dataclass(frozen=True)
class Interests:
    """`vector_BKD`; `share_BKL`, how much of each listen belongs to each interest: sums to 1 over K, 0 where there is
    no listen; `is_there_BK`: a user of a short history has fewer than K, of none none.
    """

    vector_BKD: Tensor
    share_BKL: Tensor
    is_active_BK: Tensor

    @property
    def listen_interest_BL(self) -> Tensor:
        """The interest each listen belongs to, -1 where there is no listen."""
        best_BL = self.share_BKL.masked_fill(~self.is_active_BK[..., None], -1).argmax(1)
        return best_BL.where(self.share_BKL.sum(1) > 0, -1)

    def merge_similar(self, merge_cosine_threshold: float, min_interest_share: float) -> Interests:
        """Interests whose cosine is above `alike` as one, their mean by what each holds; one to which less than
        `least_share` of the listens belong is left out.
        """
        K = self.vector_BKD.shape[1]
        unit_BKD = functional.normalize(self.vector_BKD, dim=-1)
        is_there_BK1 = self.is_active_BK[..., None]
        is_alike_BKK = (unit_BKD @ unit_BKD.mT > merge_cosine_threshold) & is_there_BK1 & is_there_BK1.mT
        # Each takes the smallest number among those it is like; K times, and all of a chain have the same.
        first_BK = torch.arange(K, device=unit_BKD.device).expand(len(unit_BKD), K)
        for _ in range(K):
            first_BK = first_BK[:, None, :].masked_fill(~is_alike_BKK, K).amin(-1)
        is_member_BKK = (first_BK[:, None, :] == torch.arange(K, device=first_BK.device)[:, None]).float()
        held_BK = self.share_BKL.sum(-1)
        weight_BKK = is_member_BKK * held_BK[:, None, :]
        vector_BKD = weight_BKK @ self.vector_BKD / weight_BKK.sum(-1, keepdim=True).clamp(min=1e-9)
        joined = Interests(vector_BKD, is_member_BKK @ self.share_BKL, is_member_BKK.any(-1))
        of_listen_BL = joined.listen_interest_BL
        count_BK = (of_listen_BL[:, None, :] == torch.arange(K, device=unit_BKD.device)[:, None]).sum(-1)
        is_held_BK = (count_BK > 0) & (count_BK >= min_interest_share * count_BK.sum(-1, keepdim=True))
        return Interests(vector_BKD, joined.share_BKL, joined.is_active_BK & is_held_BK)


class MultiInterestNetwork(nn.Module):
    """`interests` of histories, a `query` for each of them, and `aware` of labels, the one that a target teaches."""

    def __init__(self, config: MultiInterestConfig, codes: ItemCodes) -> None:
        super().__init__()
        self.settings = config
        self.items = ItemTower(codes, config.width, config.id_dropout, sparse_gradients=True)
        self.item_dropout = ByteDropout(config.item_dropout)
        self.weight = nn.Embedding(RECENCY_BUCKETS, 1)
        nn.init.zeros_(self.weight.weight)
        make = DynamicRouting if config.extractor == "routing" else SelfAttention
        self.extract = make(config)
        self.queries = nn.ModuleDict({task: nn.Linear(config.width, config.width) for task in TASKS})
        for query in self.queries.values():
            # Begin as "more of this interest": a query that already is one learns to differ from it.
            for name, parameter in query.named_parameters():
                (nn.init.eye_ if name == "weight" else nn.init.zeros_)(parameter)
        self.log_scale = nn.Parameter(torch.full((len(TASKS),), -float(np.log(config.temperature))))

    def vectors(self, items: Tensor, as_cold: bool = False) -> Tensor:
        """Item vectors of length 1, as queries are compared with them; `as_cold`: see `ItemTower`."""
        return functional.normalize(self.items(items, as_cold), dim=-1)

    def scale(self, task: str) -> Tensor:
        """What multiplies the inner products of a task."""
        return self.log_scale[TASKS.index(task)].exp()

    def interests(self, item_BL: Tensor) -> Interests:
        """The interests in listens, oldest first; 0 may stand anywhere for none."""
        is_listen_BL = item_BL > 0
        # How many listens came after, as a code: one more a doubling.
        later_BL = is_listen_BL.flip(1).cumsum(1).flip(1).clamp(min=1)
        weight_BL = self.weight(later_BL.double().log2().long()).squeeze(-1).exp() * is_listen_BL
        item_BLD = functional.normalize(self.item_dropout(self.items(item_BL)), dim=-1) * is_listen_BL[..., None]
        most = count_distinct(item_BL).clamp(min=1).double().log2().long().clamp(1, self.settings.interests)
        number_K = torch.arange(self.settings.interests, device=item_BL.device)
        is_there_BK = (number_K < most[:, None]) & is_listen_BL.any(1, keepdim=True)
        vector_BKD, share_BKL = self.extract(item_BLD, weight_BL, is_there_BK)
        return Interests(vector_BKD, share_BKL * is_listen_BL[:, None, :], is_there_BK)

    def query(self, task: str, vector_KD: Tensor) -> Tensor:
        """What to compare item vectors with, for interests [..., D]; length 1."""
        return functional.normalize(self.queries[task](vector_KD), dim=-1)

    def label_aware_query(self, task: str, interests: Interests, row_M: Tensor, positive_M: Tensor) -> Tensor:
        """Label-aware attention: of the queries of user `row_M`, those that suit the item each should find [M, D]."""
        query_MKD = self.query(task, interests.vector_BKD)[row_M]
        absent_MK = ~interests.is_active_BK[row_M]
        is_hard = self.settings.label_attention_power is None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not is_hard):
            score_MK = self.scale(task) * (query_MKD @ self.vectors(positive_M)[..., None]).squeeze(-1)
        if self.settings.label_attention_power is None:
            best_M = score_MK.masked_fill(absent_MK, -torch.inf).argmax(-1)
            return query_MKD[torch.arange(len(row_M), device=row_M.device), best_M]
        weight_MK = (self.settings.label_attention_power * score_MK).masked_fill(absent_MK, -torch.inf).softmax(-1)
        return (weight_MK[:, None, :] @ query_MKD).squeeze(1)


class DynamicRouting(nn.Module):
    """Listens and interests agree in rounds: an interest is the squashed sum of its listens, and a listen moves to
    the interests that point its way. No gradient but through the last round.

    All `starts` are routed side by side, and of each user's the one whose interests agree best with their listens is
    kept: three rounds seldom leave a bad one.
    """

    start_SDK: Tensor

    def __init__(self, config: MultiInterestConfig) -> None:
        super().__init__()
        self.iterations, self.sharpness = config.routing_iterations, config.routing_sharpness
        self.bilinear = nn.Linear(config.width, config.width, bias=False)
        nn.init.eye_(self.bilinear.weight)
        self.register_buffer("start_SDK", torch.randn(config.routing_restarts, config.width, config.interests))

    def forward(self, item_BLD: Tensor, weight_BL: Tensor, is_there_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [B, K, D] and shares [B, K, L]."""
        seen_BLD = functional.normalize(self.bilinear(item_BLD), dim=-1)
        S, D, K = self.start_SDK.shape
        absent_B1K1, weight_B11L = ~is_there_BK[:, None, :, None], weight_BL[:, None, None, :]
        # The logit of what is not there: no share of it, whatever is added; -inf would be none at all for a user of no listens.
        least = torch.finfo(item_BLD.dtype).min

        # Starts and interests are rows of one matrix a user; a product with the listens over S would copy them S times.
        def interests(logit_BSKL: Tensor) -> Tensor:
            share_BSKL = logit_BSKL.softmax(2) * weight_B11L
            return _squash(share_BSKL.flatten(1, 2) @ seen_BLD).unflatten(1, (-1, K))  # type: ignore[no-any-return]

        def agreement(interest_BSKD: Tensor) -> Tensor:
            return (interest_BSKD.flatten(1, 2) @ seen_BLD.mT).unflatten(1, (-1, K))  # type: ignore[no-any-return]

        with torch.no_grad():
            first_BLJ = (seen_BLD @ self.start_SDK.transpose(0, 1).reshape(D, S * K)).float()
            logit_BSKL = _standardize(first_BLJ, weight_BL).mT.unflatten(1, (S, K)).masked_fill(absent_B1K1, least)
            for _ in range(self.iterations - 1):
                logit_BSKL = logit_BSKL + self.sharpness * agreement(interests(logit_BSKL))
            agreement_BSKL = agreement(interests(logit_BSKL)).masked_fill(absent_B1K1, -1)
            best_B = (agreement_BSKL.amax(2) * weight_BL[:, None]).sum(-1).argmax(1)
            logit_B1KL = logit_BSKL[torch.arange(len(best_B), device=best_B.device), best_B][:, None]
        interest_B1KD = interests(logit_B1KL)
        with torch.no_grad():
            share_B1KL = (logit_B1KL + self.sharpness * agreement(interest_B1KD)).softmax(2)
        return interest_B1KD[:, 0], share_B1KL[:, 0]


class SelfAttention(nn.Module):
    """Each interest weighs all listens by a learned reading of them."""

    def __init__(self, config: MultiInterestConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(config.width, 4 * config.width)
        self.heads = nn.Linear(4 * config.width, config.interests, bias=False)

    def forward(self, item_BLD: Tensor, weight_BL: Tensor, is_there_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [B, K, D] and shares [B, K, L]."""
        # A weight of 0 is a small number here: softmax and logarithm of nothing have no gradient.
        log_weight_BL = weight_BL.clamp(min=1e-30).log()
        logit_BKL = self.heads(self.hidden(item_BLD).tanh()).mT + log_weight_BL[:, None, :]
        attention_BKL = logit_BKL.softmax(-1) * is_there_BK[..., None]
        share_BKL = attention_BKL / attention_BKL.sum(1, keepdim=True).clamp(min=1e-12)
        return attention_BKL @ item_BLD, share_BKL


def count_distinct(item_BL: Tensor) -> Tensor:
    """How many different items each row has, 0 not counted [B]."""
    sorted_BL = item_BL.sort(1).values  # 0 comes first, and is the one before the first item
    return (sorted_BL[:, 1:] != sorted_BL[:, :-1]).sum(1) + (sorted_BL[:, 0] > 0)


def _squash(sum_BKD: Tensor) -> Tensor:
    """The same direction, with a length below 1 that grows with the sum's."""
    square_BK1 = sum_BKD.square().sum(-1, keepdim=True)
    return sum_BKD * square_BK1.clamp(min=1e-12).sqrt() / (1 + square_BK1)


def _standardize(value_BLK: Tensor, weight_BL: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over the listens of each row."""
    is_listen_BL1 = (weight_BL > 0)[..., None]
    count_B11 = is_listen_BL1.sum(-2, keepdim=True).clamp(min=1)
    centred_BLK = (value_BLK - (value_BLK * is_listen_BL1).sum(-2, keepdim=True) / count_B11) * is_listen_BL1
    return centred_BLK / (centred_BLK.square().sum(-2, keepdim=True) / count_B11).sqrt().clamp(min=1e-6)
