"""Negative sampling: the sampled softmax estimates the softmax over the catalog from sampled negatives, with logQ correction.

In-batch negatives are targets of other positions, so popular items are frequent among them; uniform negatives cover the
rest of the catalog. Subtracting the logarithm of an item's expected number of draws from its logit makes the estimate
consistent with the full softmax (Bengio, Senécal 2008; Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large
Corpus Item Recommendations", RecSys 2019).

Legend: M positives, N negatives, V vocabulary, D width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def logq_correction(share_V: Tensor, is_item_V: Tensor, in_batch: int, uniform: int) -> Tensor:
    """Logarithm of the expected number of draws of each item, [V].

    Args:
        share_V: Share of each item among the targets, the distribution of in-batch negatives.
        is_item_V: Items of the catalog, from which uniform negatives are drawn.
        in_batch: Number of in-batch negatives.
        uniform: Number of uniform negatives.
    """
    draws_V = in_batch * share_V + uniform * is_item_V.float() / is_item_V.sum().clamp(min=1)
    return draws_V.clamp(min=1e-12).log()


def sampled_softmax(
    query_MD: Tensor,
    positive_MD: Tensor,
    negative_ND: Tensor,
    positive_M: Tensor,
    negative_N: Tensor,
    *,
    logq_V: Tensor,
    scale: Tensor,
) -> Tensor:
    """Mean cross-entropy of the positives against sampled negatives.

    Accidental hits (negatives equal to the positive of a position) are masked.

    Args:
        query_MD: Queries.
        positive_MD: Vectors of the positives.
        negative_ND: Vectors of the negatives, shared by all positions.
        positive_M: Items of the positives.
        negative_N: Items of the negatives.
        logq_V: Correction by item (`logq_correction`).
        scale: Factor of the inner products, 1 / temperature for normalized vectors.
    """
    positive_logit_M = scale * (query_MD * positive_MD).sum(-1) - logq_V[positive_M]
    is_hit_MN = positive_M[:, None] == negative_N
    # The correction is appended as a vector component, which is cheaper than adding it to all logits.
    extended_query_MY = functional.pad(scale * query_MD, (0, 1), value=1.0)
    extended_negative_NY = torch.cat([negative_ND, -logq_V[negative_N, None]], dim=1)
    logits = [positive_logit_M, _LogSumExp.apply(extended_query_MY, extended_negative_NY, is_hit_MN)]
    return functional.cross_entropy(torch.stack(logits, dim=1), torch.zeros_like(positive_M))


class _LogSumExp(torch.autograd.Function):
    """Log-sum-exp of query · item over unmasked items [M], -inf if all are masked; products [M, N] are not copied."""

    @staticmethod
    def forward(ctx: Any, query_MD: Tensor, item_ND: Tensor, is_masked_MN: Tensor) -> Tensor:
        product_MN = (query_MD @ item_ND.T).masked_fill_(is_masked_MN, -torch.inf)
        max_M = product_MN.amax(1).clamp(min=torch.finfo(product_MN.dtype).min)
        exp_MN = product_MN.sub_(max_M[:, None]).exp_()
        sum_M = exp_MN.sum(1)
        ctx.save_for_backward(exp_MN, sum_M, query_MD, item_ND)
        return sum_M.log() + max_M

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_M: Tensor) -> tuple[Tensor, Tensor, None]:
        exp_MN, sum_M, query_MD, item_ND = ctx.saved_tensors
        weight_M1 = (gradient_M / sum_M.clamp(min=torch.finfo(sum_M.dtype).tiny))[:, None]
        return weight_M1 * (exp_MN @ item_ND), exp_MN.T @ (weight_M1 * query_MD), None


class SampledSoftmaxLoss:
    """Sampled softmax loss of queries against their target items.

    In-batch negatives are drawn from the targets of the same task.

    Args:
        network: Network that makes the item vectors (`vectors(items)`, `scale(task)`; see `RecallNetwork`).
        share_V: Share of each item among the targets.
        is_item_V: Items of the catalog, from which uniform negatives are drawn.
        config: Numbers of negatives (`SampledSoftmaxConfig`).
    """

    def __init__(self, network: Any, share_V: np.ndarray, is_item_V: np.ndarray, config: Any) -> None:
        self.network, self.in_batch, self.uniform = network, config.in_batch_negatives, config.uniform_negatives
        self._catalog = torch.from_numpy(np.flatnonzero(is_item_V))
        share = torch.from_numpy(share_V.astype(np.float32))
        self._logq_V = logq_correction(share, torch.from_numpy(is_item_V), self.in_batch, self.uniform)

    def __call__(self, task: str, query_MD: Tensor, positive_M: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            task: Task whose scale is used.
            query_MD: Queries.
            positive_M: Their target items, at least one.
        """
        device = query_MD.device
        in_batch = torch.randint(len(positive_M), (self.in_batch,))
        uniform = torch.randint(len(self._catalog), (self.uniform,))
        negative_N = torch.cat([positive_M[in_batch], self._catalog[uniform].to(device)])
        # One lookup for both, since every lookup makes a gradient of the size of the table.
        items = positive_M, negative_N
        vectors = self.network.vectors(torch.cat(items)).split([len(part) for part in items])
        # Exponentials are summed in float32 even under mixed precision.
        with torch.autocast(device.type, enabled=False):
            return sampled_softmax(
                query_MD.float(),
                vectors[0].float(),
                vectors[1].float(),
                positive_M,
                negative_N,
                logq_V=self._logq_V.to(device),
                scale=self.network.scale(task),
            )
