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
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from config.dataclass_io import Section
from recommender.array_types import Floats, Ints
from recommender.catalog.arrays import unique_values
from recommender.compiled import compiled
from recommender.nn.compiled_layers import Dense, dense, route, to_array, unit_rows
from recommender.nn.item_tower import ItemCodes, ItemTower
from recommender.nn.user_tower import ByteDropout
from recommender.recall.next_item_network import (
    TASKS,
    NeuralChannelConfig,
    RecallNetwork,
    SampledSoftmaxConfig,
    SamplingConfig,
    build_query_heads,
)


@dataclass(frozen=True)
class InterestExtractorConfig(Section):
    """Extraction of interest vectors from a history."""

    interests: int
    history_length: int
    routing_iterations: int
    routing_restarts: int
    routing_sharpness: float
    merge_cosine_threshold: float
    min_interest_share: float


@dataclass(frozen=True)
class InterestSamplingConfig(SamplingConfig):
    """Sampling of histories with the targets that follow them."""

    targets_per_window: int


@dataclass(frozen=True)
class MultiInterestConfig(NeuralChannelConfig):
    """Configuration of the multi_interest channel; `training/recipes/small.yaml` says what its fields mean."""

    encoder: InterestExtractorConfig
    sampling: InterestSamplingConfig
    loss: SampledSoftmaxConfig
    discovery_share: float


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


class UserInterests(NamedTuple):
    """Merged interests of one user: unlike `Interests`, only those that exist.

    `item_L`: listens. `vector_KD`: interest vectors. `interest_L`: the interest with the largest share of each listen.
    """

    item_L: Ints
    vector_KD: Floats
    interest_L: Ints


@compiled
def merge_similar(vector_KD: Floats, share_KL: Floats, min_cosine: float, min_share: float) -> tuple[Floats, Ints]:
    """The interests after merging those whose cosine exceeds a threshold into their weighted mean; see `UserInterests`.

    Interests that hold less than `min_share` of the listens are left out; their listens go to others.
    """
    K, L = share_KL.shape
    length_K = np.sqrt(np.square(vector_KD).sum(1))
    # Label propagation: each interest takes the smallest label of its neighbors; K rounds cover the longest chain.
    label_K = np.arange(K)
    for _ in range(K):
        for k in range(K):
            for other in range(K):
                cosine = (vector_KD[k] * vector_KD[other]).sum() / max(length_K[k] * length_K[other], 1e-12)
                if cosine > min_cosine:
                    label_K[k] = min(label_K[k], label_K[other])
    merged_KL, sum_KD, weight_K = np.zeros_like(share_KL), np.zeros_like(vector_KD), np.zeros(K, np.float32)
    for k in range(K):
        if length_K[k] > 0:
            merged_KL[label_K[k]] += share_KL[k]
            sum_KD[label_K[k]] += share_KL[k].sum() * vector_KD[k]
            weight_K[label_K[k]] += share_KL[k].sum()
    count_K = np.zeros(K, np.int64)
    for place in range(L):
        count_K[merged_KL[:, place].argmax()] += 1
    kept = np.flatnonzero((count_K > 0) & (count_K >= min_share * L) & (weight_K > 0))
    interest_L = np.zeros(L if len(kept) else 0, np.int64)
    for place in range(len(interest_L)):
        interest_L[place] = merged_KL[kept, place].argmax()
    sum_KD /= np.maximum(weight_K, np.float32(1e-9)).reshape(-1, 1)
    return sum_KD[kept], interest_L


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

    def program(self) -> MultiInterestProgram:
        """See `RecallNetwork`."""
        return MultiInterestProgram(self)

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


class MultiInterestProgram:
    """A trained `MultiInterestNetwork` for one history, in a few NumPy calls."""

    def __init__(self, network: MultiInterestNetwork) -> None:
        self.settings, self.items = network.settings.encoder, network.items
        self.weight_X = np.exp(to_array(network.weight.weight)[:, 0])
        self.heads = {task: Dense.of(cast(nn.Linear, network.queries[task])) for task in TASKS}
        self.bilinear, self.start_SDK = Dense.of(network.extract.bilinear), to_array(network.extract.start_SDK)

    def interests(self, item_L: Ints) -> UserInterests:
        """Merged interests of listens in chronological order."""
        if not len(item_L):
            return UserInterests(item_L, np.zeros((0, len(self.heads["new"].bias_O)), dtype=np.float32), item_L)
        settings, later_L = self.settings, np.arange(len(item_L), 0, -1)
        weight_L = self.weight_X[np.log2(later_L).astype(np.int64)]
        item_LD = unit_rows(self.items.rows(item_L))
        K = min(max(len(unique_values(item_L)).bit_length() - 1, 1), settings.interests)
        mapped_LD = unit_rows(dense(item_LD, self.bilinear))
        start_DJ = self.start_SDK[..., :K].swapaxes(0, 1).reshape(item_LD.shape[1], -1)
        logit_SKL = (start_DJ.T @ mapped_LD.T).reshape(-1, K, len(item_L))
        iterations, sharpness = settings.routing_iterations, settings.routing_sharpness
        vector_KD, share_KL = route(logit_SKL, mapped_LD, weight_L, iterations, sharpness)
        merged = merge_similar(vector_KD, share_KL, settings.merge_cosine_threshold, settings.min_interest_share)
        return UserInterests(item_L, *merged)

    def query(self, task: str, vector_KD: Floats) -> Floats:
        """Unit-length queries [K, D] for interest vectors."""
        return unit_rows(dense(vector_KD, self.heads[task]))


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
