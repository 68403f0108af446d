"""Probabilities that mean what they say: one temperature a task divides its logits, chosen on validation.

Guo et al. 2017, "On Calibration of Modern Neural Networks", 1706.04599. The order of candidates does not change.
Shape letters: N cases, T tasks.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 4.0


def task_losses(logits_NT: Tensor, labels_NT: Tensor) -> Tensor:
    """Mean binary cross-entropy of each task [T] over the cases that say something about it (label not NaN); else 0."""
    known_NT = ~labels_NT.isnan()
    loss_NT = F.binary_cross_entropy_with_logits(logits_NT, labels_NT.nan_to_num(0.0), reduction="none")
    return (loss_NT * known_NT).sum(0) / known_NT.sum(0).clamp(min=1)


def fit_blend_weight(logit_N: Tensor, other_N: Tensor, label_N: Tensor) -> float:
    """The share of the other logit, in twentieths, with the least log loss; labels may be NaN."""
    shares = torch.linspace(0, 1, 21)
    losses = [task_losses(torch.lerp(logit_N, other_N, share)[:, None], label_N[:, None])[0] for share in shares]
    return round(float(shares[int(torch.stack(losses).argmin())]), 2)


def fit_temperatures(logits_NT: Tensor, labels_NT: Tensor) -> tuple[float, ...]:
    """The temperature of each task with the least log loss, between 1/4 and 4; 1 for a task without two classes."""
    grid = torch.logspace(
        torch.log10(torch.tensor(MIN_TEMPERATURE)), torch.log10(torch.tensor(MAX_TEMPERATURE)), 161
    ).tolist()
    losses_GT = torch.stack([task_losses(logits_NT / temperature, labels_NT) for temperature in grid])
    best_T = losses_GT.argmin(0)
    has_both_T = (labels_NT == 0).any(0) & (labels_NT == 1).any(0)
    return tuple(grid[best] if both else 1.0 for best, both in zip(best_T.tolist(), has_both_T.tolist(), strict=True))
