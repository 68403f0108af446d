"""Recorded kernels of a request are its matrix products, searches and trees, and nothing else."""

import numpy as np
import torch

from benchmarks.serving.latency_floors import floor_results, measure_floor_ms, record_kernels
from training.index.exact import ExactIndex

INDEX = ExactIndex.of(np.arange(2, 102), torch.randn(100, 4, generator=torch.Generator().manual_seed(0)))
LAYER = torch.nn.Linear(4, 4)


@torch.inference_mode()
def request():
    query = LAYER(torch.ones(1, 4)).relu() @ torch.eye(4)
    return INDEX.search(query, 5)


def test_products_and_searches_are_recorded_once():
    with record_kernels() as kernels:
        items, _ = request()
    with record_kernels() as again:
        pass
    assert [kernel.func.__name__.split(".")[0] for kernel in kernels] == ["linear", "matmul", "search_best"]
    np.testing.assert_array_equal(kernels[-1]()[0], items)
    assert again == []


def test_floor_is_a_time_and_its_ratio_has_a_limit():
    floor_ms = measure_floor_ms([request, request])
    assert floor_ms > 0
    floor, over = floor_results("recall", 3.0, 2.0)
    assert (floor.name, floor.value) == ("recall_floor", 2.0)
    assert (over.name, over.value, over.peer_value, over.ratio) == ("recall_over_floor", 1.5, 1.5, 1.0)
