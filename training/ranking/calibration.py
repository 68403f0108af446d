"""Temperature scaling: one temperature per task, fitted on validation, divides its logits to calibrate probabilities.

Guo et al. 2017, "On Calibration of Modern Neural Networks", 1706.04599. The order of candidates does not change.
Shape letters: N cases, T tasks, G grid points.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 4.0


def task_losses(logits_NT: Tensor, labels_NT: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of each task [T] over its labeled cases (label not NaN); 0 without any."""
    known_NT = ~labels_NT.isnan()
    loss_NT = F.binary_cross_entropy_with_logits(logits_NT, labels_NT.nan_to_num(0.0), reduction="none")
    return (loss_NT * known_NT).sum(0) / known_NT.sum(0).clamp(min=1)


def fit_blend_weight(logit_N: Tensor, other_N: Tensor, label_N: Tensor) -> float:
    """Return the weight of `other_N`, a multiple of 0.05, that minimizes the log loss; labels may be NaN."""
    weights = torch.linspace(0, 1, 21)
    losses = [task_losses(torch.lerp(logit_N, other_N, weight)[:, None], label_N[:, None])[0] for weight in weights]
    return round(float(weights[int(torch.stack(losses).argmin())]), 2)


def fit_temperatures(logits_NT: Tensor, labels_NT: Tensor) -> tuple[float, ...]:
    """Return each task's temperature with the least log loss, within 0.25..4; 1 for a task without two classes."""
    grid = torch.logspace(
        torch.log10(torch.tensor(MIN_TEMPERATURE)), torch.log10(torch.tensor(MAX_TEMPERATURE)), 161
    ).tolist()
    losses_GT = torch.stack([task_losses(logits_NT / temperature, labels_NT) for temperature in grid])
    best_T = losses_GT.argmin(0)
    has_both_T = (labels_NT == 0).any(0) & (labels_NT == 1).any(0)
    return tuple(grid[best] if both else 1.0 for best, both in zip(best_T.tolist(), has_both_T.tolist(), strict=True))
