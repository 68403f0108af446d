"""Last.FM protocol on tiny files, and the published size of the data if they are available."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from research.public_data import knowledge_graph as benchmark
from research.public_data.light_gcn import LabeledPairs, LightGCN, LightGCNConfig


def test_best_threshold_against_exhaustive_search() -> None:
    random = np.random.default_rng(0)
    logit, label = random.normal(size=80), random.integers(0, 2, 80)
    best = max(f1_score(label, logit >= value) for value in logit)
    assert f1_score(label, logit >= benchmark.best_f1_threshold(logit, label)) == pytest.approx(best)


def test_vectors_against_dense_matrices() -> None:
    """Two users, three items, one entity: the mean of the layers, by plain matmul."""
    likes, triples = np.array([[0, 0], [1, 1], [1, 2]]), np.array([[0, 3], [1, 3]])
    torch.manual_seed(0)
    network = LightGCN(2, 4, likes, triples, LightGCNConfig(width=5, layers=2)).eval()
    total = np.zeros((6, 6))
    for edges in (likes + np.array([0, 2]), triples + 2):
        matrix = np.zeros((6, 6))
        for source, target in edges:
            matrix[source, target] = matrix[target, source] = 1
        degree = np.maximum(matrix.sum(1), 1)
        total += matrix / np.sqrt(degree[:, None] * degree[None, :])
    own = network.vector.weight.detach().numpy()
    expected = (own + total @ own + total @ total @ own) / 3
    np.testing.assert_allclose(network.vectors().detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    score = network.score(LabeledPairs(np.array([1]), np.array([2]), np.array([1])))
    assert score[0] == pytest.approx(5 * expected[1] @ expected[4], rel=1e-4)
