"""Distinct keys and concatenated ranges against NumPy."""

import numpy as np
import pytest

from recommender.catalog.arrays import unique_inverse, unique_values


@pytest.mark.parametrize("scale", [1, -1, 1 << 55])
@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_unique_functions_equal_numpy(count: int, scale: int) -> None:
    key_N = np.random.default_rng(count).integers(0, 60, count) * scale
    before = key_N.copy()
    expected, number_N = np.unique(key_N, return_inverse=True)
    assert unique_values(key_N).tolist() == expected.tolist()
    assert [array.tolist() for array in unique_inverse(key_N)] == [expected.tolist(), number_N.tolist()]
    assert key_N.tolist() == before.tolist(), "the input is not modified"
