"""The network of `target_attention` for one request, 300 candidates × 200 events on one thread, by four ways to run it.

As the service runs it (eager, inference mode), as `torch.export`'s graph, compiled ahead of time by Inductor, and by ONNX
Runtime; features are made before the clock starts, sides take turns, and each must give what eager gives within 1e-4. The
exported ones are for exactly this shape, which is more than a service could ask for: the best case for them.

ONNX Runtime is installed into an environment of its own below SEGUE_HOME/peers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.result import Result
from benchmarks.serving import synthetic_rankers
from config import settings
from training.ablations.peer_trial import ensure_environment
from training.nn import layers
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.inputs import CandidateInputs, UserInputs

ONNX = ("onnxruntime==1.32.0", "onnx==1.23.2", "onnxscript==0.7.2", "onnx_ir==1.1.0", "ml_dtypes==0.6.0")
CANDIDATES, EVENTS = 300, 200
TOLERANCE = 1e-4
RUNTIMES = ("eager", "export", "inductor", "onnxruntime")

Runtime = Callable[[], Tensor]


class ExportableRanker(nn.Module):
    """User and candidates to logits, tensors in and tensor out; inputs that the ranker does not read are left out."""

    def __init__(self, ranker: FittedRanker) -> None:
        super().__init__()
        self.model = ranker.model
        self.names = [field.name for field in fields(UserInputs) if field.name not in ("plays", "explicit_feedback")]

    def forward(self, *tensors: Tensor) -> Tensor:
        """Logits [B, C, T]."""
        users = UserInputs(**cast(Any, dict(zip(self.names, tensors, strict=False))))
        logits: Tensor = self.model(self.model.encode_user(users), CandidateInputs(*tensors[len(self.names) :]))
        return logits


def build_inputs(ranker: FittedRanker, whole: ExportableRanker) -> tuple[Tensor, ...]:
    """The tensors of one request."""
    random = np.random.default_rng(0)
    side = ranker.features.prepare_users(synthetic_rankers.make_user_batch(random, 1, EVENTS))
    found = ranker.features.prepare_candidates(side, synthetic_rankers.sample_tracks(random, 1, CANDIDATES))
    return (
        *(getattr(side.inputs, name) for name in whole.names),
        *(getattr(found, field.name) for field in fields(CandidateInputs)),
    )


def export_graph(whole: ExportableRanker, inputs: tuple[Tensor, ...]) -> Runtime:
    """The graph as torch runs it."""
    program = torch.export.export(whole, inputs).module()
    return lambda: program(*inputs)


def inductor(whole: ExportableRanker, inputs: tuple[Tensor, ...], folder: Path) -> Runtime:
    """Native code made by Inductor; it needs a C++ compiler. It cuts the work into pieces itself."""
    at_once, layers.PAIR_BATCH_SIZE = layers.PAIR_BATCH_SIZE, CANDIDATES * EVENTS
    try:
        program = torch.export.export(whole, inputs)
    finally:
        layers.PAIR_BATCH_SIZE = at_once
    path = torch._inductor.aoti_compile_and_package(program, package_path=str(folder / "ranker.pt2"))
    compiled = torch._inductor.aoti_load_package(path)
    return lambda: compiled(*inputs)


def onnxruntime(whole: ExportableRanker, inputs: tuple[Tensor, ...], folder: Path) -> Runtime:
    """ONNX Runtime on one thread."""
    import onnxruntime as runtime

    path = folder / "ranker.onnx"
    torch.onnx.export(whole, inputs, str(path), dynamo=True, verbose=False)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = {node.name for node in session.get_inputs()}
    names = [node.name for node in session.get_inputs()]
    values = [tensor.numpy() for tensor in inputs]
    # The exporter drops inputs that nothing reads; the others keep their order and their shape.
    feed = dict(zip(names, _match_inputs(session, values), strict=True))
    assert given == feed.keys()
    return lambda: torch.from_numpy(session.run(None, feed)[0])


def _match_inputs(session: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    if len(session.get_inputs()) == len(values):
        return values
    left, kept = list(values), []
    for node in session.get_inputs():
        while list(left[0].shape) != list(node.shape):
            left.pop(0)
        kept.append(left.pop(0))
    return kept


def measure(requests: int) -> dict[str, float]:
    """p50 of each side, in ms of its thread's processor time: what else the machine does should not decide."""
    torch.set_num_threads(1)
    ranker = synthetic_rankers.make_ranker("target_attention")
    whole = ExportableRanker(ranker).eval()
    inputs = build_inputs(ranker, whole)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with torch.no_grad():
            others = [export_graph(whole, inputs), inductor(whole, inputs, folder), onnxruntime(whole, inputs, folder)]
        with torch.inference_mode():
            return _measure_medians(requests, [lambda: whole(*inputs), *others])


def _measure_medians(requests: int, sides: list[Runtime]) -> dict[str, float]:
    expected = sides[0]()
    for side in sides:
        torch.testing.assert_close(side(), expected, atol=TOLERANCE, rtol=0)
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(requests):
        for side, taken in zip(sides, seconds, strict=True):
            began = time.thread_time()
            side()
            taken.append(time.thread_time() - began)
    return {name: statistics.median(taken) * 1000 for name, taken in zip(RUNTIMES, seconds, strict=True)}


def run(requests: int) -> list[Result]:
    """Each way beside eager."""
    command = [str(ensure_environment(*ONNX)), "-m", "benchmarks.serving.ranking_runtimes", str(requests)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=settings.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    p50s = json.loads(done.stdout.splitlines()[-1])
    return [
        Result.from_values(
            f"rank_export_{name}", "ms of a core", p50s[name], "eager", p50s["eager"], lower_is_better=True
        )
        for name in RUNTIMES[1:]
    ]


def main() -> None:
    """All sides, in the environment that has ONNX Runtime."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", type=int)
    print(json.dumps(measure(parser.parse_args().requests)))


if __name__ == "__main__":
    main()
