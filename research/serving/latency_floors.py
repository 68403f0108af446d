"""Floors of latencies: what the arithmetic of a request takes without the code around it, in the same run.

`record_kernels` notes the calls of one request that do the arithmetic: matrix products (torch), searches of vector indexes
and evaluations of boosted trees. Repeating them alone gives the floor. Machines differ by a factor of two, so the ratio of
a latency to its floor says more about the code than the latency. Matrix products of compiled programs (ADR 0081) are not noted: to
compare with earlier results, use the floors of revision 1532dbf0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recommender.nn.trees import Trees
from recommender.nn.vector_index import VectorIndex
from recommender.ranking.boosted_trees import BoostedTrees
from research.result import Result, result_with_limit

MAX_OVER_FLOOR = 1.5
ROUNDS = 5
PRODUCTS = frozenset(
    {
        "mm",
        "addmm",
        "bmm",
        "baddbmm",
        "mv",
        "addmv",
        "dot",
        "linear",
        "matmul",
        "scaled_dot_product_attention",
    }
)
"""Operators of torch that are matrix products."""
KERNELS: tuple[tuple[type[Any], str], ...] = (
    (VectorIndex, "search"),
    (BoostedTrees, "predict_logits"),
    (Trees, "predict"),
)
"""Methods that are repeated as a whole."""

Kernel = Callable[[], Any]


class _RecordProducts(TorchDispatchMode):
    """Notes the matrix products that are not part of another kernel."""

    def __init__(self, kernels: list[Kernel]) -> None:
        super().__init__()
        self.kernels, self.is_paused = kernels, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self.is_paused and func.overloadpacket.__name__ in PRODUCTS:
            self.kernels.append(partial(func, *args, **kwargs))
        return func(*args, **kwargs)


@contextmanager
def record_kernels() -> Iterator[list[Kernel]]:
    """The kernels that this thread calls within the context, in order, with their arguments."""
    kernels: list[Kernel] = []
    with ExitStack() as patches, _RecordProducts(kernels) as products:
        for kind, name in KERNELS:
            patches.enter_context(patch.object(kind, name, _recorded(getattr(kind, name), products)))
        yield kernels


def _recorded(method: Callable[..., Any], products: _RecordProducts) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if products.is_paused:
            return method(*args, **kwargs)
        products.kernels.append(partial(method, *args, **kwargs))
        products.is_paused = True
        try:
            return method(*args, **kwargs)
        finally:
            products.is_paused = False

    return call


@torch.inference_mode()
def measure_floor_ms(requests: Sequence[Kernel]) -> float:
    """Return the median over requests of the processor time, in ms, of the kernels of one; the best of some rounds each."""
    floors = []
    for request in requests:
        with record_kernels() as kernels:
            request()
        rounds = []
        for _ in range(ROUNDS):
            began = time.thread_time()
            for kernel in kernels:
                kernel()
            rounds.append(time.thread_time() - began)
        floors.append(min(rounds))
    return float(np.median(floors)) * 1000


def floor_results(name: str, value_ms: float, floor_ms: float) -> list[Result]:
    """Return `<name>_floor`, and `<name>_over_floor`, which must stay under MAX_OVER_FLOOR."""
    return [
        Result.from_values(f"{name}_floor", "ms", floor_ms),
        result_with_limit(f"{name}_over_floor", "times", value_ms / max(floor_ms, 1e-9), MAX_OVER_FLOOR),
    ]
