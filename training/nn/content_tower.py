"""Content tower: the vector of a track from its content alone (`training.content.track_content`).

A linear map of a content row. In training, whole blocks of the row are dropped at random, so that tracks with some of
the contents get useful vectors too: modality dropout as in Neverova, Wolf, Taylor, Nebout, "ModDrop: Adaptive
Multi-Modal Gesture Recognition" (TPAMI 2016), arXiv 1501.00102.

Legend: W content width, D width, M blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ContentTower(nn.Module):
    """Vectors [..., D] of content rows [..., W]; rows of zeros have vectors of zeros.

    Args:
        block_W: Block of each column of the rows.
        width: D.
        modality_dropout: Share of the blocks of a track that a training step leaves out.
    """

    block_W: Tensor

    def __init__(self, block_W: Tensor, width: int, modality_dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("block_W", torch.unique(block_W, return_inverse=True)[1], persistent=False)
        self.blocks = int(self.block_W.max()) + 1 if len(block_W) else 0
        self.modality_dropout = modality_dropout
        # No bias, so that missing content adds zeros.
        self.linear = nn.Linear(len(block_W), width, bias=False)
        nn.init.normal_(self.linear.weight, std=width**-0.5)

    def forward(self, row_W: Tensor) -> Tensor:
        """Vectors of rows of any shape; the number of contents that a track has does not change their scale."""
        if self.training and self.modality_dropout > 0 and self.blocks > 1:
            is_kept_M = torch.rand((*row_W.shape[:-1], self.blocks), device=row_W.device) >= self.modality_dropout
            row_W = row_W * is_kept_M[..., self.block_W]
        vector: Tensor = self.linear(functional.normalize(row_W, dim=-1) * self.blocks**0.5)
        return vector
