"""Products of piecewise linear encodings with weights by table lookup, for inference.

A linear layer over the encoding of a number (`PiecewiseLinear`) is itself a piecewise linear function of the number, so
its values and slopes at the breakpoints are computed once. A request then adds two rows per number, instead of
multiplying the encoding, in which all pieces but one are 0 or 1, with the weights of all pieces.

Shape letters: N rows, F features, K pieces, H outputs, M segments between breakpoints, X rows of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.engine.numba_compile import compiled
from training.nn.ranker_layers import PiecewiseLinear

Floats = NDArray[np.float32]


class PiecewiseTable:
    """Computes `encoding(x) @ weight.T`, without gradients.

    Args:
        begin_FM: First number of each segment; all numbers below the first breakpoint belong to the first segment.
        length_FM: Length of each segment.
        row_XH: Result at the beginning of each segment, and its increase up to the next one, segment by segment.
    """

    def __init__(self, begin_FM: Floats, length_FM: Floats, row_XH: Tensor) -> None:
        self.begin_FM, self.length_FM, self.row_XH = begin_FM, length_FM, row_XH

    @classmethod
    def of(cls, encodings: Sequence[PiecewiseLinear], weight_HX: Tensor) -> Self:
        """Return the table of encodings, one after the other, and the weights of their concatenated results."""
        lower_FK, width_FK = (
            np.concatenate([buffer.double().numpy() for buffer in buffers])
            for buffers in zip(*((one.lower_FK, one.width_FK) for one in encodings), strict=True)
        )
        F, K = lower_FK.shape
        weight_FKH = weight_HX.detach().double().numpy().T.reshape(F, K, -1)
        # Pieces may overlap or be equal.
        point_FM = np.sort(np.concatenate([lower_FK, lower_FK + width_FK], axis=1), axis=1)
        encoded_FMK = np.clip((point_FM[..., None] - lower_FK[:, None]) / width_FK[:, None], 0, 1)
        value_FMH = encoded_FMK @ weight_FKH
        begin_FM = np.concatenate([np.full((F, 1), -np.inf), point_FM], axis=1)
        value_FMH = np.concatenate([value_FMH[:, :1], value_FMH], axis=1)
        gain_FMH = np.diff(value_FMH, axis=1, append=value_FMH[:, -1:])
        length_FM = np.diff(begin_FM, axis=1, append=np.inf)
        row_XH = torch.from_numpy(np.stack([value_FMH, gain_FMH], axis=2)).flatten(0, 2).float()
        return cls(begin_FM.astype(np.float32), length_FM.astype(np.float32), row_XH)

    def __call__(self, x_NF: Tensor) -> Tensor:
        """Return the products [N, H].

        Raises:
            ValueError: The rows have another number of features than the encodings. The compiled function does not check it
                and would write outside of its arrays.
        """
        N, F = x_NF.shape
        if len(self.begin_FM) != F:
            raise ValueError(
                f"the rows have {F} dense features, the fitted encodings {len(self.begin_FM)}; "
                "fit the model again with this version of the features"
            )
        row_NF2, weight_NF2 = np.empty((N, F, 2), dtype=np.int64), np.ones((N, F, 2), dtype=np.float32)
        _find_rows(self.begin_FM, self.length_FM, x_NF.numpy(), row_NF2, weight_NF2)
        rows, weights = torch.from_numpy(row_NF2).flatten(1), torch.from_numpy(weight_NF2).flatten(1)
        return functional.embedding_bag(rows, self.row_XH, per_sample_weights=weights, mode="sum")


@compiled
def _find_rows(
    begin_FM: Floats, length_FM: Floats, x_NF: Floats, row_NF2: NDArray[np.int64], weight_NF2: Floats
) -> None:
    """Set the two rows of each number, and the weight of the second one."""
    F, M = begin_FM.shape
    for n in range(len(x_NF)):
        for f in range(F):
            x, begun = x_NF[n, f], 0
            # Counting takes a third of the time of a binary search, whose branches are not predictable.
            for m in range(M):
                begun += int(begin_FM[f, m] <= x)
            m = begun - 1
            row_NF2[n, f, 0] = 2 * (f * M + m)
            row_NF2[n, f, 1] = 2 * (f * M + m) + 1
            # The segments below and above all breakpoints are infinitely long and have no gain.
            weight_NF2[n, f, 1] = (x - begin_FM[f, m]) / length_FM[f, m] if 0 < m < M - 1 else np.float32(0.0)
