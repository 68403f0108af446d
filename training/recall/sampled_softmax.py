"""Softmax over a whole catalogue, estimated from a few negatives, with the correction for how often each is drawn.

In-batch negatives are targets of other positions, so popular items come often; uniform ones reach the rest of the
catalogue. Subtracting the logarithm of an item's expected number of draws from its logit makes the estimate one of the
full softmax (Bengio, Senécal 2008; Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
Recommendations", RecSys 2019). Legend: M positives, N negatives, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def expected_draws(share_V: Tensor, is_item_V: Tensor, in_batch: int, uniform: int) -> Tensor:
    """Logarithm of how many of the negatives are item v on average, [V]: `in_batch` drawn by `share_V` (share of the
    targets), `uniform` by chance among `is_item_V`.
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
    log_draws_V: Tensor,
    scale: Tensor,
) -> Tensor:
    """Mean cross-entropy of the positives. A negative that is the position's own positive (an accidental hit) is
    masked.

    `scale` multiplies the inner products (1 / temperature where vectors are normalised).
    """
    positive_logit_M = scale * (query_MD * positive_MD).sum(-1) - log_draws_V[positive_M]
    negative_logit_MN = scale * (query_MD @ negative_ND.T) - log_draws_V[negative_N]
    negative_logit_MN = negative_logit_MN.masked_fill(positive_M[:, None] == negative_N[None, :], -torch.inf)
    logit_M1N = torch.cat([positive_logit_M[:, None], negative_logit_MN], dim=1)
    return functional.cross_entropy(logit_M1N, torch.zeros_like(positive_M))
