"""Int8 prefilter of an exact search: quantized vectors select the candidates with a quarter of the memory traffic.

The error of a quantized score is bounded by the Cauchy-Schwarz inequality: |q·v - q'·v'| <= |q|·|v - v'| + |q -
q'|·|v'|. Rescoring all vectors that may be among the best within that bound therefore gives the exact result.

Legend: G vectors, B rows of Q queries, R = B · Q, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.engine.numba_compile import compiled

SCORES_PER_CHUNK = 4_194_304  # scores of a chunk take 16 MiB until they are reduced to the best of each row
MAX_SINGLE_QUERIES = 3  # up to this number of queries, multiplying one by one is faster
INT8_MAX = 127
EXCLUDED = np.int32(-(2**31))
"""Score of a vector that is not searched."""
INTERVALS = 1024  # of the scores of a query, which are counted to find the best ones
FLOAT32_RELATIVE_ERROR = 1e-5
"""Bound of the rounding error of a float32 score relative to |q|·|v|, for widths up to some hundreds."""


def has_fast_int8_matmul() -> bool:
    """Whether the CPU has fast int8 dot products (VNNI); without them the prefilter saves no time."""
    return torch.cpu._is_vnni_supported()


@dataclass(frozen=True)
class Int8Prefilter:
    """Quantized vectors and the bounds of their errors."""

    int8_GD: torch.Tensor
    scale: float  # scale * int8_GD approximates the vectors
    max_norm: float  # largest norm of a dequantized vector
    max_error: float  # largest norm of a quantization error

    @classmethod
    def of(cls, vector_GD: np.ndarray) -> Int8Prefilter:
        """Quantize float32 vectors."""
        scale = float(np.abs(vector_GD).max(initial=0)) / INT8_MAX or 1.0
        rounded_GD = np.rint(vector_GD / scale)
        max_norm = _max_norm(rounded_GD * scale)
        return cls(
            torch.from_numpy(rounded_GD.astype(np.int8)), scale, max_norm, _max_norm(vector_GD - rounded_GD * scale)
        )

    def scores(self, query_BQD: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Quantized scores with error bounds.

        Returns:
            The best score of each vector by any query of the row, int32 [B, G], in units that differ between rows, and
            the maximum error of a row's scores in the same units [B].
        """
        B, Q, D = query_BQD.shape
        unit_B = np.abs(query_BQD).max((1, 2)) / INT8_MAX
        unit_B11 = np.where(unit_B > 0, unit_B, 1.0)[:, None, None]
        rounded_BQD = np.rint(query_BQD / unit_B11)
        length_BQ = np.linalg.norm(query_BQD, axis=2) * (
            self.max_error + FLOAT32_RELATIVE_ERROR * (self.max_norm + self.max_error)
        )
        error_BQ = np.linalg.norm(query_BQD - rounded_BQD * unit_B11, axis=2) * self.max_norm
        slack_B = (length_BQ + error_BQ).max(1) / (unit_B11[:, 0, 0] * self.scale)
        return self._best(torch.from_numpy(rounded_BQD.astype(np.int8)).view(B * Q, D), B), slack_B

    def _best(self, rounded_RD: torch.Tensor, rows: int) -> torch.Tensor:
        best_BG = torch.empty((rows, len(self.int8_GD)), dtype=torch.int32)
        if len(rounded_RD) == rows and rows <= MAX_SINGLE_QUERIES:
            # Multiply by a column; by a row it takes two to three times as long on some CPUs.
            for rounded_D, best_G in zip(rounded_RD, best_BG, strict=True):
                torch._int_mm(self.int8_GD, rounded_D[:, None], out=best_G[:, None])
            return best_BG
        chunk = max(SCORES_PER_CHUNK // len(rounded_RD), 1)
        for start in range(0, best_BG.shape[1], chunk):
            some = slice(start, start + chunk)
            score_RG = torch._int_mm(rounded_RD, self.int8_GD[some].T)
            torch.amax(score_RG.view(rows, -1, score_RG.shape[1]), 1, out=best_BG[:, some])
        return best_BG


@compiled
def may_be_best(score_G: NDArray[np.int32], k: int, slack: float) -> NDArray[np.int64]:
    """Vectors that may be among the best `k` if each score is wrong by up to `slack`, ascending, and few others.

    The k-th best score is bounded from below by counting the scores in equal intervals. EXCLUDED vectors are left out.
    """
    low, high = 2**31, -(2**31)
    for g in range(len(score_G)):
        high = max(high, int(score_G[g]))
        if score_G[g] != EXCLUDED:
            low = min(low, int(score_G[g]))
    width = max(high - low, 0) // INTERVALS + 1
    count_I = np.zeros(INTERVALS, dtype=np.int64)
    for g in range(len(score_G)):
        if score_G[g] != EXCLUDED:
            count_I[(score_G[g] - low) // width] += 1
    first, total = INTERVALS, 0
    while first > 0 and total < k:
        first -= 1
        total += count_I[first]
    bound = low + first * width - 2 * slack
    found_G = np.empty(len(score_G), dtype=np.int64)
    count = 0
    for g in range(len(score_G)):
        if score_G[g] >= bound and score_G[g] != EXCLUDED:
            found_G[count] = g
            count += 1
    return found_G[:count].copy()


def _max_norm(vector_GD: np.ndarray) -> float:
    return float(np.sqrt(np.square(vector_GD).sum(1).max(initial=0)))
