"""Runtimes for the network of `target_attention`: one request, 300 candidates × 200 events, on one thread.

Compares eager inference mode (as the service), the graph of `torch.export`, ahead-of-time compilation by Inductor, and
ONNX Runtime. Features are computed before the clock starts, the alternatives take turns, and each must equal eager
within 1e-4. Exported graphs have exactly this shape, which a service could not assume: the best case for them.

ONNX Runtime is installed in its own environment below SEGUE_HOME/peers.
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
from training.nn import ranker_layers
from training.ranking.fitted_ranker import FittedRanker
from training.ranking.inputs import CandidateInputs, UserInputs

ONNX = ("onnxruntime==1.32.0", "onnx==1.23.2", "onnxscript==0.7.2", "onnx_ir==1.1.0", "ml_dtypes==0.6.0")
CANDIDATES, EVENTS = 300, 200
TOLERANCE = 1e-4
RUNTIMES = ("eager", "export", "inductor", "onnxruntime")

Runtime = Callable[[], Tensor]


class ExportableRanker(nn.Module):
    """Network from user and candidate tensors to logits, without the inputs that the ranker does not read."""

    def __init__(self, ranker: FittedRanker) -> None:
        super().__init__()
        self.model = ranker.model
        self.names = [field.name for field in fields(UserInputs) if field.name not in ("plays", "explicit_feedback")]

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return logits [B, C, T]."""
        users = UserInputs(**cast(Any, dict(zip(self.names, tensors, strict=False))))
        logits: Tensor = self.model(self.model.encode_user(users), CandidateInputs(*tensors[len(self.names) :]))
        return logits


def build_inputs(ranker: FittedRanker, whole: ExportableRanker) -> tuple[Tensor, ...]:
    """Return the tensors of one request."""
    random = np.random.default_rng(0)
    side = ranker.features.prepare_users(synthetic_rankers.make_user_batch(random, 1, EVENTS))
    candidates = ranker.features.prepare_candidates(side, synthetic_rankers.sample_tracks(random, 1, CANDIDATES))
    return (
        *(getattr(side.inputs, name) for name in whole.names),
        *(getattr(candidates, field.name) for field in fields(CandidateInputs)),
    )


def export_graph(whole: ExportableRanker, inputs: tuple[Tensor, ...]) -> Runtime:
    """Return the exported graph, executed by torch."""
    program = torch.export.export(whole, inputs).module()
    return lambda: program(*inputs)


def inductor(whole: ExportableRanker, inputs: tuple[Tensor, ...], folder: Path) -> Runtime:
    """Return native code compiled by Inductor, which needs a C++ compiler and chunks the work itself."""
    batch_size, ranker_layers.PAIR_BATCH_SIZE = ranker_layers.PAIR_BATCH_SIZE, CANDIDATES * EVENTS
    try:
        program = torch.export.export(whole, inputs)
    finally:
        ranker_layers.PAIR_BATCH_SIZE = batch_size
    path = torch._inductor.aoti_compile_and_package(program, package_path=str(folder / "ranker.pt2"))
    compiled = torch._inductor.aoti_load_package(path)
    return lambda: compiled(*inputs)


def onnxruntime(whole: ExportableRanker, inputs: tuple[Tensor, ...], folder: Path) -> Runtime:
    """Return an ONNX Runtime session on one thread."""
    import onnxruntime as runtime

    path = folder / "ranker.onnx"
    torch.onnx.export(whole, inputs, str(path), dynamo=True, verbose=False)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    expected = {node.name for node in session.get_inputs()}
    names = [node.name for node in session.get_inputs()]
    values = [tensor.numpy() for tensor in inputs]
    # The exporter drops unused inputs; the others keep their order and shape.
    feed = dict(zip(names, _match_inputs(session, values), strict=True))
    assert expected == feed.keys()
    return lambda: torch.from_numpy(session.run(None, feed)[0])


def _match_inputs(session: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    if len(session.get_inputs()) == len(values):
        return values
    remaining, used = list(values), []
    for node in session.get_inputs():
        while list(remaining[0].shape) != list(node.shape):
            remaining.pop(0)
        used.append(remaining.pop(0))
    return used


def measure(requests: int) -> dict[str, float]:
    """Return the p50 of each runtime, in ms of the thread's processor time."""
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
    """Return the result of each runtime compared with eager."""
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
    """Measure all runtimes, in the environment that has ONNX Runtime."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", type=int)
    print(json.dumps(measure(parser.parse_args().requests)))


if __name__ == "__main__":
    main()
