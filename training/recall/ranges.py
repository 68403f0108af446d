"""Many short ranges of whole numbers as one array. Knows nothing about what they number.

Legend: R ranges, N numbers in all of them.
"""

from __future__ import annotations

import numpy as np


def concatenate_ranges(begin_R: np.ndarray, end_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All numbers of the half-open ranges, one range after the other [N], and for each the place of its range [N]."""
    count_R = end_R - begin_R
    place_N = np.arange(len(count_R)).repeat(count_R)
    return np.arange(len(place_N)) + (begin_R - count_R.cumsum() + count_R)[place_N], place_N
