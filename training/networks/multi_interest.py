"""Network of the multi_interest channel: several interest vectors per history, by dynamic routing.

Routing: Li et al., "Multi-Interest Network with Dynamic Routing for Recommendation at Tmall" (MIND, CIKM 2019), arXiv
1904.08030: one bilinear map S shared by all interests, logits initialized with fixed N(0, 1) numbers that are not
trained, K' = max(1, min(K, log2 n)) interests for n items.

Differences from the paper:

- n counts distinct tracks, because songs are played repeatedly.
- A listen has a learned weight that depends on the number of later listens (recency).
- Item vectors have unit length, so the agreement is multiplied by `routing_sharpness`; with cosines alone, three
  iterations would hardly change a logit.
- The initial logits are a fixed N(0, 1) projection of the track's vector, standardized over the user's listens: random
  as in the paper, but equal for the same track and similar for similar tracks. Several projections (restarts) are
  routed, and the best result is kept.
- Label-aware attention is hard: a target trains the interest of its user that is closest to it.

Legend: B users, L listens (0 = none), K interests, S restarts, M targets, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recommender.recall.multi_interest.program import MultiInterestConfig
from recommender.recall.next_item import TASKS
from training.networks.item_tower import ItemCodes, ItemTower
from training.networks.next_item import RecallNetwork, build_query_heads
from training.networks.user_tower import ByteDropout

RECENCY_BUCKETS = 16


@dataclass(frozen=True)
class Interests:
    """Interests of B users.

    `vector_BKD`: interest vectors. `share_BKL`: membership of each listen in each interest; sums to 1 over K, 0 where
    there is no listen. `is_active_BK`: whether the interest exists; a short history has fewer than K, an empty one
    none.
    """

    vector_BKD: Tensor
    share_BKL: Tensor
    is_active_BK: Tensor


class MultiInterestNetwork(RecallNetwork):
    """Interests of histories, queries for each interest, and label-aware attention for training."""

    def __init__(self, config: MultiInterestConfig, codes: ItemCodes) -> None:
        super().__init__()
        self.settings = config
        width = config.items.width
        self.items = ItemTower(
            codes, width, config.items.id_dropout, config.items.modality_dropout, sparse_gradients=True
        )
        self.item_dropout = ByteDropout(config.items.item_dropout)
        self.weight = nn.Embedding(RECENCY_BUCKETS, 1)
        nn.init.zeros_(self.weight.weight)
        self.extract = DynamicRouting(config)
        self.queries = build_query_heads(width)
        self.log_scale = nn.Parameter(torch.full((len(TASKS),), -float(np.log(config.loss.temperature))))

    def scale(self, task: str) -> Tensor:
        """Factor on the inner products of a task (1 / temperature)."""
        return self.log_scale[TASKS.index(task)].exp()

    def interests(self, item_BL: Tensor) -> Interests:
        """Interests of listens in chronological order; 0 = none at any position."""
        is_listen_BL = item_BL > 0
        # Bucket of the number of later listens: the bucket increases by one when the number doubles.
        later_BL = is_listen_BL.flip(1).cumsum(1).flip(1).clamp(min=1)
        weight_BL = self.weight(later_BL.double().log2().long()).squeeze(-1).exp() * is_listen_BL
        item_BLD = functional.normalize(self.item_dropout(self.items(item_BL)), dim=-1) * is_listen_BL[..., None]
        K = self.settings.encoder.interests
        count_B = count_distinct(item_BL).clamp(min=1).double().log2().long().clamp(1, K)
        number_K = torch.arange(K, device=item_BL.device)
        is_active_BK = (number_K < count_B[:, None]) & is_listen_BL.any(1, keepdim=True)
        vector_BKD, share_BKL = self.extract(item_BLD, weight_BL, is_active_BK)
        return Interests(vector_BKD, share_BKL * is_listen_BL[:, None, :], is_active_BK)

    def query(self, task: str, vector_KD: Tensor) -> Tensor:
        """Unit-length queries for interest vectors [..., D]."""
        return functional.normalize(self.queries[task](vector_KD), dim=-1)

    def label_aware_query(self, task: str, interests: Interests, row_M: Tensor, positive_M: Tensor) -> Tensor:
        """Label-aware attention: for each target, the closest query [M, D] of its user.

        Args:
            task: One of TASKS.
            interests: Interests of the users of the batch.
            row_M: User of each target.
            positive_M: Item of each target.
        """
        query_MKD = self.query(task, interests.vector_BKD)[row_M]
        is_missing_MK = ~interests.is_active_BK[row_M]
        with torch.no_grad():
            score_MK = (query_MKD @ self.vectors(positive_M)[..., None]).squeeze(-1)
            best_M = score_MK.masked_fill(is_missing_MK, -torch.inf).argmax(-1)
        return query_MKD[torch.arange(len(row_M), device=row_M.device), best_M]


class DynamicRouting(nn.Module):
    """Capsule routing: interests are squashed weighted sums of listens, and listens move to the interests they agree
    with.

    Gradients flow through the last iteration only. All restarts are routed in parallel, and for each user the one whose
    interests agree best with their listens is kept, because three iterations rarely recover from a bad initialization.
    """

    start_SDK: Tensor

    def __init__(self, config: MultiInterestConfig) -> None:
        super().__init__()
        encoder, width = config.encoder, config.items.width
        self.iterations, self.sharpness = encoder.routing_iterations, encoder.routing_sharpness
        self.bilinear = nn.Linear(width, width, bias=False)
        nn.init.eye_(self.bilinear.weight)
        self.register_buffer("start_SDK", torch.randn(encoder.routing_restarts, width, encoder.interests))

    def forward(self, item_BLD: Tensor, weight_BL: Tensor, is_active_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Interest vectors [B, K, D] and shares [B, K, L]."""
        mapped_BLD = functional.normalize(self.bilinear(item_BLD), dim=-1)
        S, D, K = self.start_SDK.shape
        is_missing_B1K1, weight_B11L = ~is_active_BK[:, None, :, None], weight_BL[:, None, None, :]
        # Logit of a missing interest: its share is 0 whatever is added. -inf would give NaN for a user without listens.
        min_logit = torch.finfo(item_BLD.dtype).min

        # Restarts and interests are rows of one matrix per user; broadcasting over S would copy the listens.
        def interests(logit_BSKL: Tensor) -> Tensor:
            share_BSKL = logit_BSKL.softmax(2) * weight_B11L
            return _squash(share_BSKL.flatten(1, 2) @ mapped_BLD).unflatten(1, (-1, K))

        def agreement(interest_BSKD: Tensor) -> Tensor:
            return (interest_BSKD.flatten(1, 2) @ mapped_BLD.mT).unflatten(1, (-1, K))

        with torch.no_grad():
            start_BLJ = (mapped_BLD @ self.start_SDK.transpose(0, 1).reshape(D, S * K)).float()
            logit_BSKL = _standardize(start_BLJ, weight_BL).mT.unflatten(1, (S, K))
            logit_BSKL = logit_BSKL.masked_fill(is_missing_B1K1, min_logit)
            for _ in range(self.iterations - 1):
                logit_BSKL = logit_BSKL + self.sharpness * agreement(interests(logit_BSKL))
            agreement_BSKL = agreement(interests(logit_BSKL)).masked_fill(is_missing_B1K1, -1)
            best_B = (agreement_BSKL.amax(2) * weight_BL[:, None]).sum(-1).argmax(1)
            logit_B1KL = logit_BSKL[torch.arange(len(best_B), device=best_B.device), best_B][:, None]
        interest_B1KD = interests(logit_B1KL)
        with torch.no_grad():
            share_B1KL = (logit_B1KL + self.sharpness * agreement(interest_B1KD)).softmax(2)
        return interest_B1KD[:, 0], share_B1KL[:, 0]


def count_distinct(item_BL: Tensor) -> Tensor:
    """Number of distinct items per row [B]; 0 is not counted."""
    sorted_BL = item_BL.sort(1).values  # zeros come first, so the first item differs from its predecessor
    return (sorted_BL[:, 1:] != sorted_BL[:, :-1]).sum(1) + (sorted_BL[:, 0] > 0)


def _squash(sum_BKD: Tensor) -> Tensor:
    """Vectors of the same direction, with a length below 1 that grows with the length of the sum."""
    square_BK1 = sum_BKD.square().sum(-1, keepdim=True)
    return sum_BKD * square_BK1.clamp(min=1e-12).sqrt() / (1 + square_BK1)


def _standardize(value_BLK: Tensor, weight_BL: Tensor) -> Tensor:
    """Values with mean 0 and standard deviation 1 over the listens of each row."""
    is_listen_BL1 = (weight_BL > 0)[..., None]
    count_B11 = is_listen_BL1.sum(-2, keepdim=True).clamp(min=1)
    centered_BLK = (value_BLK - (value_BLK * is_listen_BL1).sum(-2, keepdim=True) / count_B11) * is_listen_BL1
    return centered_BLK / (centered_BLK.square().sum(-2, keepdim=True) / count_B11).sqrt().clamp(min=1e-6)
