"""Softmax over a whole catalogue, estimated from a few negatives, with the correction for how often each is drawn.

In-batch negatives are targets of other positions, so popular items come often; uniform ones reach the rest of the
catalogue. Subtracting the logarithm of an item's expected number of draws from its logit makes the estimate one of the
full softmax (Bengio, Senécal 2008; Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
Recommendations", RecSys 2019). Legend: M positives, N negatives, D width.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from training.engine import distributed


def logq_correction(share_V: Tensor, is_item_V: Tensor, in_batch: int, uniform: int) -> Tensor:
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
    logq_V: Tensor,
    scale: Tensor,
    hard_MD: Tensor | None = None,
    hard_M: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy of the positives. A negative that is the position's own positive (an accidental hit) is
    masked.

    `scale` multiplies the inner products (1 / temperature where vectors are normalised). `hard_M`: a negative of each
    position alone (0: none); it is there for certain, so its logit needs no correction.
    """
    positive_logit_M = scale * (query_MD * positive_MD).sum(-1) - logq_V[positive_M]
    is_hit_MN = positive_M[:, None] == negative_N
    # The correction is one more number of each vector, which costs less than adding it to all logits.
    asking_MY = functional.pad(scale * query_MD, (0, 1), value=1.0)
    asked_NY = torch.cat([negative_ND, -logq_V[negative_N, None]], dim=1)
    logits = [positive_logit_M, _LogSumExp.apply(asking_MY, asked_NY, is_hit_MN)]
    if hard_MD is not None and hard_M is not None:
        hard_logit_M = scale * (query_MD * hard_MD).sum(-1)
        logits.append(hard_logit_M.masked_fill((hard_M == 0) | (hard_M == positive_M), -torch.inf))
    return functional.cross_entropy(torch.stack(logits, dim=1), torch.zeros_like(positive_M))


class _LogSumExp(torch.autograd.Function):
    """Logarithm of the summed exponentials of query · item over the items that are not left out, [M]; -inf where all are.
    The products [M, N] are written once and never copied.
    """

    @staticmethod
    def forward(ctx: Any, query_MD: Tensor, item_ND: Tensor, is_out_MN: Tensor) -> Tensor:
        product_MN = (query_MD @ item_ND.T).masked_fill_(is_out_MN, -torch.inf)
        most_M = product_MN.amax(1).clamp(min=torch.finfo(product_MN.dtype).min)
        power_MN = product_MN.sub_(most_M[:, None]).exp_()
        sum_M = power_MN.sum(1)
        ctx.save_for_backward(power_MN, sum_M, query_MD, item_ND)
        return sum_M.log() + most_M

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_M: Tensor) -> tuple[Tensor, Tensor, None]:
        power_MN, sum_M, query_MD, item_ND = ctx.saved_tensors
        slope_M1 = (slope_M / sum_M.clamp(min=torch.finfo(sum_M.dtype).tiny))[:, None]
        return slope_M1 * (power_MN @ item_ND), power_MN.T @ (slope_M1 * query_MD), None


def full_softmax(
    query_MD: Tensor,
    item_ND: Tensor,
    positive_M: Tensor,
    item_N: Tensor,
    *,
    scale: Tensor,
    label_smoothing: float,
) -> Tensor:
    """Mean cross-entropy of the positives over all N items (`item_N` ascending), where a catalogue is small enough.

    A position whose positive is not one of the items counts for nothing. Klenitskiy, Vasilev, "Turning Dross Into Gold
    Loss: is BERT4Rec really better than SASRec?" (RecSys 2023), arXiv 2309.07602.
    """
    place_M = torch.searchsorted(item_N, positive_M).clamp(max=len(item_N) - 1)
    is_item_M = item_N[place_M] == positive_M
    # Queries are scaled, not the far more numerous logits.
    logit_MN = (scale * query_MD[is_item_M]) @ item_ND.T
    if not len(logit_MN):
        return query_MD.sum() * 0
    return functional.cross_entropy(logit_MN, place_M[is_item_M], label_smoothing=label_smoothing)


class TwoTowerModel(Protocol):
    """A network that places items where queries are."""

    def vectors(self, items: Tensor) -> Tensor:
        """Item vectors as they are compared with a query."""
        ...

    def scale(self, task: str) -> Tensor:
        """What multiplies the inner products of a task."""
        ...


class SampledSoftmaxLoss:
    """The loss of queries against the items they should find. Its in-batch negatives are these very items, a task's
    own targets; of several ranks those of all of them, and each draws the same.

    `share_V`: each item's share of the targets; `is_item_V`: the catalogue, of which the uniform negatives are.
    """

    def __init__(
        self, network: TwoTowerModel, share_V: np.ndarray, is_item_V: np.ndarray, in_batch: int, uniform: int
    ) -> None:
        self.network, self.in_batch, self.uniform = network, in_batch, uniform
        self._catalog = torch.from_numpy(np.flatnonzero(is_item_V))
        share = torch.from_numpy(share_V.astype(np.float32))
        self._logq_V = logq_correction(share, torch.from_numpy(is_item_V), in_batch, uniform)

    def __call__(
        self, task: str, query_MD: Tensor, positive_M: Tensor, target_T: Tensor, hard_M: Tensor | None = None
    ) -> Tensor:
        """Sampled softmax, a number; `target_T`: the positives of all ranks; `hard_M`: see `sampled_softmax`."""
        device = query_MD.device
        some = torch.randint(len(target_T), (self.in_batch,), generator=distributed.shared_generator())
        any_item = torch.randint(len(self._catalog), (self.uniform,), generator=distributed.shared_generator())
        negative_N = torch.cat([target_T[some], self._catalog[any_item].to(device)])
        # Looked up together: every look-up makes a gradient of the size of the whole table.
        looked_up = [positive_M, negative_N] if hard_M is None else [positive_M, negative_N, hard_M]
        vectors = self.network.vectors(torch.cat(looked_up)).split([len(items) for items in looked_up])
        # Powers of e are summed in single precision, whatever the network multiplies in.
        with torch.autocast(device.type, enabled=False):
            loss = sampled_softmax(
                query_MD.float(),
                vectors[0].float(),
                vectors[1].float(),
                positive_M,
                negative_N,
                logq_V=self._logq_V.to(device),
                scale=self.network.scale(task),
                hard_MD=vectors[2].float() if hard_M is not None else None,
                hard_M=hard_M,
            )
        return distributed.weight_for_global_mean(loss, len(positive_M))


class FullSoftmaxLoss:
    """The same loss over the whole catalogue; see `full_softmax`."""

    def __init__(self, network: TwoTowerModel, is_item_V: np.ndarray, label_smoothing: float) -> None:
        self.network, self.label_smoothing = network, label_smoothing
        self._is_item_V = torch.from_numpy(is_item_V)
        self._catalog = torch.from_numpy(np.flatnonzero(is_item_V))

    def __call__(
        self, task: str, query_MD: Tensor, positive_M: Tensor, target_T: Tensor, hard_M: Tensor | None = None
    ) -> Tensor:
        """A number; all negatives, hard ones too, are among the items already."""
        del target_T, hard_M
        item_N = self._catalog.to(query_MD.device)
        loss = full_softmax(
            query_MD,
            self.network.vectors(item_N),
            positive_M,
            item_N,
            scale=self.network.scale(task),
            label_smoothing=self.label_smoothing,
        )
        return distributed.weight_for_global_mean(loss, self._is_item_V[positive_M.cpu()].sum())
