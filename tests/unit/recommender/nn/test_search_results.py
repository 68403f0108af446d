"""Index search against plain sorting, and approximate against exact search."""

import numpy as np
import pytest
import torch

from recommender.nn import vector_index
from recommender.nn.vector_index import VectorIndex


def directions(count: int, seed: int) -> torch.Tensor:
    """Unit vectors that float16 represents exactly: four of 12 numbers are ±1/2. Some are equal."""
    random = np.random.default_rng(seed)
    vector_ND = np.zeros((count, 12), dtype=np.float32)
    for row in vector_ND:
        row[random.choice(12, 4, replace=False)] = random.choice([-0.5, 0.5], 4)
    return torch.from_numpy(vector_ND)


def top_by_sorting(
    items: np.ndarray, vectors: torch.Tensor, query_QD: torch.Tensor, excluded: set[int], k: int
) -> list[int]:
    """Oracle: sort all items."""
    score = (vectors @ query_QD.T).amax(1).tolist()
    ordered = sorted((-value, item) for value, item in zip(score, items.tolist(), strict=True) if item not in excluded)
    return [item for _, item in ordered][:k] + [0] * max(k - len(ordered), 0)


@pytest.mark.parametrize("is_exact", [True, False])
def test_results_equal_sorting(is_exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The approximate index reads all lists. Queries are so large that scores rarely tie, and all scores are exact."""
    monkeypatch.setattr(vector_index, "PROBED_SHARE", 1)
    items, vectors = np.arange(100, 700), directions(600, 0)
    queries = torch.from_numpy(np.random.default_rng(1).integers(-200_000, 200_000, (6, 3, 12)).astype(np.float32))
    exclude = np.random.default_rng(2).integers(90, 710, (6, 400))
    exclude[0] = 0
    found, scores = VectorIndex.of(items, vectors, None if is_exact else 0).search(queries.numpy(), 20, exclude)
    for row in range(6):
        assert found[row].tolist() == top_by_sorting(items, vectors, queries[row], set(exclude[row].tolist()), 20)
        assert scores[row].tolist() == (vectors[found[row] - 100] @ queries[row].T).amax(1).tolist()
