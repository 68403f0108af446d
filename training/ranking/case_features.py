"""The numbers of many cases, made once: of the user, of the candidate, and what was found of it in the long histories.

They are most of the work of a batch and the same in every pass, so later passes read them here, and trees are grown on
them. Shape letters: R cases, U user features, F candidate features, M match features, N all of them. Knows nothing about
models.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CaseFeatures:
    """`numbers_RN`: a row a case, the user's numbers first, then the candidate's, then the matches; `widths`: of the three.

    Four bytes a number: 300 MB for 400,000 cases of 180 numbers.
    """

    features_RN: Floats
    widths: tuple[int, ...]

    @classmethod
    def collect(cls, cases: int, parts: Iterable[tuple[Floats, ...]]) -> CaseFeatures:
        """From each part's numbers of the three kinds, part after part, `cases` rows in all.

        Raises:
            ValueError: the parts have not so many rows.
        """
        numbers_RN, widths, begin = np.zeros((0, 0), np.float32), (0, 0, 0), 0
        for part in parts:
            if not begin:
                widths = tuple(numbers.shape[1] for numbers in part)
                numbers_RN = np.empty((cases, sum(widths)), np.float32)
            end = begin + len(part[0])
            np.concatenate(part, axis=1, out=numbers_RN[begin:end])
            begin = end
        if begin != cases:
            raise ValueError(f"numbers of {begin} cases were made, of {cases} they were expected; give every case once")
        return cls(numbers_RN, widths)

    def take(self, rows: NDArray[np.int64]) -> list[Floats]:
        """The numbers of some cases, one array a kind."""
        return np.split(self.features_RN[rows], np.cumsum(self.widths)[:-1], axis=1)

    def __len__(self) -> int:
        """R."""
        return len(self.features_RN)
