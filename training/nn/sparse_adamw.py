"""AdamW for embedding tables with sparse gradients, whose step time depends on the rows looked up, not on the table.

A sparse gradient (`torch.nn.Embedding(sparse=True)`) names the rows that were looked up, and only these are updated, so
a step over a million tracks takes as long as one over a thousand.

Adam with dense gradients keeps moving a row for about ten steps after a lookup. Here a row without a first moment moves
by the sum of these updates at once, and its second moment is unchanged while the row is not looked up. Difference to
`torch.optim.SparseAdam`, which keeps the first moment and therefore moves a rare row a tenth as far.

Legend: V rows of a table, R rows looked up, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class SparseAdamW(torch.optim.AdamW):
    """AdamW that updates parameters with sparse gradients by row."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters once.

        Raises:
            ValueError: a parameter with a sparse gradient has weight decay, which would have to change every row.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None and table.grad.is_sparse:
                    self._update_rows(table, group)
                    table.grad = None
        super().step()
        return loss

    def _update_rows(self, table_VD: Tensor, group: dict[str, Any]) -> None:
        state, second = self.state[table_VD], group["betas"][1]
        if group["weight_decay"]:
            raise ValueError(
                f"weight_decay={group['weight_decay']} of a table with sparse gradients; "
                "put it into a group without weight decay"
            )
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
