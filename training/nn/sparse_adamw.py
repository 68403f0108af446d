"""AdamW whose step costs, of a table of vectors, what the step looked up in it, and not what the table holds.

A gradient that is sparse (of `torch.nn.Embedding(sparse=True)`) names the rows that were looked up. Only these are read
and moved, so that a step over a million tracks takes no longer than one over a thousand.

Adam of a dense gradient goes on moving a row for some ten steps after it was looked up. Here a row moves at once by as
much as all of these together: it has no first moment, and its second moment waits while nobody looks the row up.
Different: `torch.optim.SparseAdam` keeps the first moment, and so moves a rare row a tenth as far. Knows nothing about
models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class SparseAdamW(torch.optim.AdamW):
    """AdamW; a parameter with a sparse gradient learns by rows.

    Raises (`step`):
        ValueError: the group of such a parameter has a decay, which would have to reach every row.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all parameters."""
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
                f"weight_decay={group['weight_decay']} of a table that learns by rows; give it a group without"
            )
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg_sq"] = torch.zeros_like(table_VD)
        state["step"] += 1
        slope = table_VD.grad.coalesce()  # type: ignore[union-attr]
        row_R, slope_RD = slope.indices()[0], slope.values()
        square_RD = (
            state["exp_avg_sq"].index_select(0, row_R).mul_(second).addcmul_(slope_RD, slope_RD, value=1 - second)
        )
        state["exp_avg_sq"].index_copy_(0, row_R, square_RD)
        size_RD = square_RD.div_(1 - second ** float(state["step"])).sqrt_().add_(group["eps"])
        table_VD.index_add_(0, row_R, slope_RD / size_RD, alpha=-float(group["lr"]))
