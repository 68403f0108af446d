"""Int8 scores against exact scores."""

import numpy as np
import pytest
import torch

from training.index.exact import ExactIndex


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
