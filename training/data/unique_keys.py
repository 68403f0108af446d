"""The distinct ones of some thousand keys, ascending; `np.unique` takes several times as long for so few.

Legend: N keys, M distinct ones. Keys are whole numbers. Knows nothing about what they stand for.
"""

from __future__ import annotations

import numpy as np


def unique_values(key_N: np.ndarray) -> np.ndarray:
    """The M keys that there are."""
    key_N = np.sort(key_N)
    found: np.ndarray = key_N[first_occurrence_mask(key_N)]
    return found


def unique_counts(key_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The M keys that there are, and how often each comes."""
    key_N = np.sort(key_N)
    first = first_occurrence_mask(key_N).nonzero()[0]
    return key_N[first], np.append(first[1:], len(key_N)) - first


def unique_inverse(key_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The M keys that there are, and for each of the N the place of its key among them."""
    order = np.argsort(key_N)
    key_N = key_N[order]
    is_first_N = first_occurrence_mask(key_N)
    number_N = np.empty(len(key_N), dtype=np.int64)
    number_N[order] = is_first_N.cumsum() - 1
    return key_N[is_first_N], number_N


def first_occurrence_mask(sorted_N: np.ndarray) -> np.ndarray:
    """Where sorted keys differ from the one before."""
    is_first_N = np.ones(len(sorted_N), dtype=bool)
    is_first_N[1:] = sorted_N[1:] != sorted_N[:-1]
    return is_first_N
