"""Optimizer of neural channels: AdamW without weight decay on embeddings, linear warm-up, then linear decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from training.nn.sparse_adamw import SparseAdamW


class OptimizerSettings(Protocol):
    """Hyperparameters of a config that the optimizer reads."""

    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def warmup(self) -> int: ...
    @property
    def steps(self) -> int: ...


def build_optimizer(network: nn.Module, rates: OptimizerSettings) -> dict[str, Any]:
    """Result of Lightning's `configure_optimizers`; the learning rate decays to a twentieth at `steps`."""
    tables = [module.weight for module in network.modules() if isinstance(module, nn.Embedding)]
    table_ids = {id(table) for table in tables}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in table_ids]
    groups = [
        {"params": tables, "weight_decay": 0.0},
        {"params": [parameter for parameter in rest if parameter.requires_grad], "weight_decay": rates.weight_decay},
    ]
    optimizer = SparseAdamW(groups, lr=rates.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _learning_rate_multiplier(rates.warmup, rates.steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _learning_rate_multiplier(warmup: int, steps: int) -> Callable[[int], float]:
    return lambda step: min(1.0, (step + 1) / max(warmup, 1)) * max(0.05, 1 - step / max(steps, 1))
