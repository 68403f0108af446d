"""The numbers of many cases, made once: of the user, of the candidate, and what was found of it in the long histories.

They are most of the work of a batch and the same in every pass, so later passes read them here. Shape letters: R cases, U
user features, F candidate features, M match features. Knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CaseNumbers:
    """A row a case, float32: 4 bytes a number, which is 300 MB for 400,000 cases of 180 numbers."""

    context_RU: Floats
    features_RF: Floats
    matches_RM: Floats

    @classmethod
    def collect(cls, cases: int, parts: Iterable[tuple[Tensor, Tensor, Tensor]]) -> CaseNumbers:
        """From the parts' numbers, part after part, `cases` rows in all.

        Raises:
            ValueError: the parts have not so many rows.
        """
        arrays: list[Floats] = []
        begin = 0
        for part in parts:
            arrays = arrays or [np.empty((cases, numbers.shape[1]), np.float32) for numbers in part]
            for whole, numbers in zip(arrays, part, strict=True):
                whole[begin : begin + len(numbers)] = numbers.numpy()
            begin += len(part[0])
        if begin != cases or not arrays:
            raise ValueError(f"numbers of {begin} cases were made, of {cases} they were expected; give every case once")
        return cls(*arrays)

    def __len__(self) -> int:
        """R."""
        return len(self.context_RU)
