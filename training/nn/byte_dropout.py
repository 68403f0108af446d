"""Dropout whose mask costs a byte of chance a value, which a processor draws sooner than torch's (docs/adr/0043).

Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (JMLR 2014). Different: the share
that is dropped is the nearest of 256. Knows nothing about models.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MASK_LEVELS = 256


class ByteDropout(nn.Module):
    """In training each value is zero with probability `share`, and the others are larger by as much; same shape."""

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError(f"dropout of {share}: give a share from 0 up to, but not, 1")
        self.share, self._dropped = share, min(round(share * MASK_LEVELS), MASK_LEVELS - 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if not self.training or not self._dropped:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.share)
        chance = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        is_kept = (chance.view(torch.uint8)[: x.numel()] >= self._dropped).view(x.shape)
        return x * is_kept.to(x.dtype).mul_(MASK_LEVELS / (MASK_LEVELS - self._dropped))

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"share={self.share}"
