"""Optimizer of neural channels: AdamW without weight decay on embeddings, linear warm-up, then linear decay.

The step time of `SparseAdamW` depends on the rows of an embedding table that were looked up, not on the table: a sparse
gradient (`torch.nn.Embedding(sparse=True)`) names these rows, and only they are updated, so a step over a million
tracks takes as long as one over a thousand.

Legend: V rows of a table, R rows looked up, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def build_optimizer(network: nn.Module, rates: Any) -> tuple[SparseAdamW, torch.optim.lr_scheduler.LambdaLR]:
    """The optimizer and its learning rate, which decays to a twentieth at `steps`; `rates` are the config's `optimizer`."""
    tables = [module.weight for module in network.modules() if isinstance(module, nn.Embedding)]
    table_ids = {id(table) for table in tables}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in table_ids]
    groups = [
        {"params": tables, "weight_decay": 0.0},
        {"params": [parameter for parameter in rest if parameter.requires_grad], "weight_decay": rates.weight_decay},
    ]
    optimizer = SparseAdamW(groups, lr=rates.learning_rate, fused=True)
    warmup, steps = max(rates.warmup, 1), max(rates.steps, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warmup) * max(0.05, 1 - step / steps)
    )
    return optimizer, schedule


class SparseAdamW(torch.optim.AdamW):
    """AdamW that updates parameters with sparse gradients by row.

    Adam with dense gradients keeps moving a row for about ten steps after a lookup. Here a row without a first moment
    moves by the sum of these updates at once, and its second moment is unchanged while the row is not looked up.
    Difference to `torch.optim.SparseAdam`, which keeps the first moment and therefore moves a rare row a tenth as far.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update all parameters once. Parameters with sparse gradients must not have weight decay, which changes every row."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None and table.grad.is_sparse:
                    self._update_rows(table, group)
                    table.grad = None
        return super().step(closure)

    def _update_rows(self, table_VD: Tensor, group: dict[str, Any]) -> None:
        state, second = self.state[table_VD], group["betas"][1]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg_sq"] = torch.zeros_like(table_VD)
        state["step"] += 1
        gradient = table_VD.grad.coalesce()  # type: ignore[union-attr]
        row_R, gradient_RD = gradient.indices()[0], gradient.values()
        square_RD = (
            state["exp_avg_sq"].index_select(0, row_R).mul_(second).addcmul_(gradient_RD, gradient_RD, value=1 - second)
        )
        state["exp_avg_sq"].index_copy_(0, row_R, square_RD)
        size_RD = square_RD.div_(1 - second ** float(state["step"])).sqrt_().add_(group["eps"])
        table_VD.index_add_(0, row_R, gradient_RD / size_RD, alpha=-float(group["lr"]))
