"""Distinct integer keys, ascending; several times as fast as `np.unique` for some thousand keys.

Legend: N keys, M distinct keys.
"""

from __future__ import annotations

import numpy as np


def unique_values(key_N: np.ndarray) -> np.ndarray:
    """The distinct keys [M]."""
    key_N = np.sort(key_N)
    unique_M: np.ndarray = key_N[first_occurrence_mask(key_N)]
    return unique_M


def unique_counts(key_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys [M] and the number of occurrences of each [M]."""
    key_N = np.sort(key_N)
    first = first_occurrence_mask(key_N).nonzero()[0]
    return key_N[first], np.append(first[1:], len(key_N)) - first


def unique_inverse(key_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys [M], and for each key its index among them [N]."""
    order = np.argsort(key_N)
    key_N = key_N[order]
    is_first_N = first_occurrence_mask(key_N)
    index_N = np.empty(len(key_N), dtype=np.int64)
    index_N[order] = is_first_N.cumsum() - 1
    return key_N[is_first_N], index_N


def first_occurrence_mask(sorted_N: np.ndarray) -> np.ndarray:
    """Where a sorted key differs from its predecessor."""
    is_first_N = np.ones(len(sorted_N), dtype=bool)
    is_first_N[1:] = sorted_N[1:] != sorted_N[:-1]
    return is_first_N
