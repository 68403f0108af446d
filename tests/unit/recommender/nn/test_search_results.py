"""Index search against plain sorting, and approximate against exact search."""

import numpy as np
import pytest
import torch

from recommender.nn import vector_index
from recommender.nn.vector_index import VectorIndex

KINDS = ("exact", "approximate")


def directions(count: int, seed: int) -> torch.Tensor:
    """Unit vectors that float16 represents exactly: four of 12 numbers are ±1/2. Some are equal."""
    random = np.random.default_rng(seed)
    vector_ND = np.zeros((count, 12), dtype=np.float32)
    for row in vector_ND:
        row[random.choice(12, 4, replace=False)] = random.choice([-0.5, 0.5], 4)
    return torch.from_numpy(vector_ND)


def integer_queries(rows: int, queries: int, seed: int) -> torch.Tensor:
    """Integer queries so large that scores rarely tie, and that all scores are exact."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(-200_000, 200_000, (rows, queries, 12)).astype(np.float32))


def build(kind: str, items: np.ndarray, vectors: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> VectorIndex:
    """An index; the approximate one reads all lists."""
    monkeypatch.setattr(vector_index, "PROBED_SHARE", 1)
    return VectorIndex.of(items, vectors, 0 if kind == "approximate" else None)


def top_by_sorting(
    items: np.ndarray, vectors: torch.Tensor, query_QD: torch.Tensor, excluded: set[int], k: int
) -> list[int]:
    """Oracle: sort all items."""
    score = (vectors @ query_QD.T).amax(1).tolist()
    ordered = sorted((-value, item) for value, item in zip(score, items.tolist(), strict=True) if item not in excluded)
    return [item for _, item in ordered][:k] + [0] * max(k - len(ordered), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_results_equal_sorting(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    items, vectors, queries = np.arange(100, 700), directions(600, 0), integer_queries(6, 3, 1)
    exclude = np.random.default_rng(2).integers(90, 710, (6, 400))
    exclude[0] = 0
    index = build(kind, items, vectors, monkeypatch)
    found, scores = index.search(queries.numpy(), 20, exclude)
    for row in range(6):
        assert found[row].tolist() == top_by_sorting(items, vectors, queries[row], set(exclude[row].tolist()), 20)
        expected = (vectors[found[row] - 100] @ queries[row].T).amax(1)
        assert scores[row].tolist() == expected.tolist()
