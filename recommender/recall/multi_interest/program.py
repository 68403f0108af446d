"""Configs of the multi_interest channel, and the interests of a user by a trained `MultiInterestNetwork`
(`training.networks.multi_interest`, which describes the routing).

Legend: L listens, K interests, S restarts, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from config.dataclass_io import Section
from recommender.array_types import Floats, Ints, Weights
from recommender.catalog.arrays import unique_values
from recommender.compiled import compiled
from recommender.nn.compiled_layers import Dense, dense, route, unit_rows
from recommender.recall.next_item import (
    ITEM_VECTORS,
    TASKS,
    NeuralChannelConfig,
    SampledSoftmaxConfig,
    SamplingConfig,
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


class UserInterests(NamedTuple):
    """The interests of one user, merged.

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


class MultiInterestProgram:
    """A trained `MultiInterestNetwork` for one history, in a few NumPy calls."""

    def __init__(self, config: MultiInterestConfig, weights: Weights) -> None:
        self.settings, self.vector_VD = config.encoder, weights[ITEM_VECTORS]
        self.weight_X = np.exp(weights["weight.weight"][:, 0])
        self.heads = {task: Dense.of(weights, f"queries.{task}") for task in TASKS}
        self.bilinear, self.start_SDK = Dense.of(weights, "extract.bilinear"), weights["extract.start_SDK"]

    def interests(self, item_L: Ints) -> UserInterests:
        """Merged interests of listens in chronological order."""
        if not len(item_L):
            return UserInterests(item_L, np.zeros((0, len(self.heads["new"].bias_O)), dtype=np.float32), item_L)
        settings, later_L = self.settings, np.arange(len(item_L), 0, -1)
        weight_L = self.weight_X[np.log2(later_L).astype(np.int64)]
        item_LD = unit_rows(self.vector_VD[item_L])
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
