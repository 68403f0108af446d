"""Int8 scores against exact scores."""

import numpy as np
import pytest
import torch

from training.index import int8_prefilter
from training.index.exact import ExactIndex
from training.index.int8_prefilter import Int8Prefilter


def test_error_bound_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_prefilter, "SCORES_PER_CHUNK", 100)
    random = np.random.default_rng(0)
    vectors = random.standard_normal((500, 16)).astype(np.float32)
    queries = random.standard_normal((4, 3, 16)).astype(np.float32) * np.array([1, 100, 0.01, 0])[:, None, None]
    prefilter = Int8Prefilter.of(vectors)
    int8_score_BG, slack_B = prefilter.scores(queries.astype(np.float32))
    for row in range(3):
        exact = (queries[row] @ vectors.T).max(0)
        unit = np.abs(queries[row]).max() / 127 * prefilter.scale
        error = np.abs(int8_score_BG[row].numpy() - exact / unit)
        assert 0 < error.max() <= slack_B[row]
        assert slack_B[row] * unit < 0.1 * np.abs(exact).max(), "the bound is tight enough"
    assert not int8_score_BG[3].any()


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_prefiltered_search_equals_sorting(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With many near ties: vectors differ by less than the quantization step."""
    monkeypatch.setattr("training.index.exact.MIN_GROUPS_FOR_PREFILTER", 1)
    monkeypatch.setattr("training.index.exact.has_fast_int8_matmul", lambda: True)
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(20, 32, generator=generator).repeat(40, 1)
    vectors = scale * torch.nn.functional.normalize(centres + 1e-3 * torch.randn(800, 32, generator=generator), dim=1)
    queries = torch.randn(6, 2, 32, generator=generator)
    index = ExactIndex.of(np.arange(100, 900), vectors)
    found, scores = index.search_best(queries, 50, np.arange(100, 160).reshape(6, 10))
    for row in range(6):
        best = (queries[row].double() @ vectors.double().T).amax(0)
        best[row * 10 : row * 10 + 10] = -torch.inf
        top = best.topk(50)
        assert set(found[row].tolist()) == set((top.indices + 100).tolist())
        np.testing.assert_allclose(scores[row], top.values, rtol=1e-5)
