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
from torch import Tensor

from recommender.array_types import Floats
from recommender.compiled import compiled_reordering
from recommender.nn.ranker_layers import PiecewiseLinear


class PiecewiseTable:
    """Computes `encoding(x) @ weight.T`, without gradients.

    Args:
        begin_FM: First number of each segment; all numbers below the first breakpoint belong to the first segment.
        length_FM: Length of each segment.
        row_XH: Result at the beginning of each segment, and its increase up to the next one, segment by segment.
    """

    def __init__(self, begin_FM: Floats, length_FM: Floats, row_XH: Floats) -> None:
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
        row_XH = np.stack([value_FMH, gain_FMH], axis=2).reshape(-1, value_FMH.shape[2])
        return cls(*(part.astype(np.float32) for part in (begin_FM, length_FM, row_XH)))

    def __call__(self, x_NF: Floats) -> Floats:
        """Return the products [N, H].

        Raises:
            ValueError: The rows have another number of features than the encodings. The compiled function does not check it
                and would write outside of its arrays.
        """
        F = x_NF.shape[1]
        if len(self.begin_FM) != F:
            raise ValueError(
                f"the rows have {F} dense features, the fitted encodings {len(self.begin_FM)}; "
                "fit the model again with this version of the features"
            )
        return _add_rows(self.begin_FM, self.length_FM, self.row_XH, x_NF)


@compiled_reordering
def _add_rows(begin_FM: Floats, length_FM: Floats, row_XH: Floats, x_NF: Floats) -> Floats:
    """Sums of two rows per number, the second weighted by the position of the number in its segment."""
    (F, M), H = begin_FM.shape, row_XH.shape[1]
    sum_NH = np.zeros((len(x_NF), H), dtype=np.float32)
    for n in range(len(x_NF)):
        for f in range(F):
            x, begun = x_NF[n, f], 0
            # Counting takes a third of the time of a binary search, whose branches are not predictable.
            for m in range(M):
                begun += int(begin_FM[f, m] <= x)
            m = max(begun, 1) - 1  # of NaN none is below
            row = 2 * (f * M + m)
            # The segments below and above all breakpoints are infinitely long and have no gain.
            weight = (x - begin_FM[f, m]) / length_FM[f, m] if 0 < m < M - 1 else np.float32(0)
            for h in range(H):
                sum_NH[n, h] += row_XH[row, h] + weight * row_XH[row + 1, h]
    return sum_NH
