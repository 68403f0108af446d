"""Vectors rounded to bytes, which are read four times as fast: which scores a search need not look at more closely.

Scores of rounded vectors and queries are whole numbers, and how far one may be from the exact score is known by the
Cauchy-Schwarz inequality: |q·v - q'·v'| <= |q|·|v - v'| + |q - q'|·|v'|. So nothing is lost for whoever takes what may
be among the best by that, and scores it again. Legend: G vectors, B rows of Q queries, D width. Knows nothing about
items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

SCORES_PER_CHUNK = 4_194_304
"""So many scores by all queries lie in 16 MiB until only the best of each row is left."""
MAX_SINGLE_QUERIES = 3
"""So few queries are multiplied faster one by one."""
INT8_MAX = 127
FLOAT32_RELATIVE_ERROR = 1e-5
"""By how much of |q|·|v| a score in single precision may itself be off, widths of some hundreds included."""


def has_fast_int8_matmul() -> bool:
    """Whether this processor multiplies bytes as fast as it reads them; elsewhere rounding gains nothing."""
    return torch.cpu._is_vnni_supported()


@dataclass(frozen=True)
class Int8Prefilter:
    """`whole_GD` int8, `step` times which is nearly the vector; `longest` of them, and the largest `error`, as lengths."""

    int8_GD: torch.Tensor
    scale: float
    max_norm: float
    max_error: float

    @classmethod
    def of(cls, vector_GD: np.ndarray) -> Int8Prefilter:
        """Of vectors in single precision."""
        step = float(np.abs(vector_GD).max(initial=0)) / INT8_MAX or 1.0
        whole_GD = np.rint(vector_GD / step)
        longest = _max_norm(whole_GD * step)
        return cls(torch.from_numpy(whole_GD.astype(np.int8)), step, longest, _max_norm(vector_GD - whole_GD * step))

    def scores(self, query_BQD: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Of each vector the best score by a row's queries, int32 [B, G], in units of the row's own; and how many units
        the exact one may be above or below [B].
        """
        B, Q, D = query_BQD.shape
        unit_B = np.abs(query_BQD).max((1, 2)) / INT8_MAX
        unit_B11 = np.where(unit_B > 0, unit_B, 1.0)[:, None, None]
        whole_BQD = np.rint(query_BQD / unit_B11)
        length_BQ = np.linalg.norm(query_BQD, axis=2) * (
            self.max_error + FLOAT32_RELATIVE_ERROR * (self.max_norm + self.max_error)
        )
        error_BQ = np.linalg.norm(query_BQD - whole_BQD * unit_B11, axis=2) * self.max_norm
        slack_B = (length_BQ + error_BQ).max(1) / (unit_B11[:, 0, 0] * self.scale)
        return self._best(torch.from_numpy(whole_BQD.astype(np.int8)).view(B * Q, D), B), slack_B

    def _best(self, whole_RD: torch.Tensor, rows: int) -> torch.Tensor:
        best_BG = torch.empty((rows, len(self.int8_GD)), dtype=torch.int32)
        if len(whole_RD) == rows and rows <= MAX_SINGLE_QUERIES:
            # As a column: as a row, some processors take twice or three times as long.
            for whole_D, best_G in zip(whole_RD, best_BG, strict=True):
                torch._int_mm(self.int8_GD, whole_D[:, None], out=best_G[:, None])
            return best_BG
        at_once = max(SCORES_PER_CHUNK // len(whole_RD), 1)
        for start in range(0, best_BG.shape[1], at_once):
            some = slice(start, start + at_once)
            score_RG = torch._int_mm(whole_RD, self.int8_GD[some].T)
            torch.amax(score_RG.view(rows, -1, score_RG.shape[1]), 1, out=best_BG[:, some])
        return best_BG


def _max_norm(vector_GD: np.ndarray) -> float:
    return float(np.sqrt(np.square(vector_GD).sum(1).max(initial=0)))
