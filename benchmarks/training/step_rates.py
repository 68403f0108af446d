"""Training rates of two alternatives: each in its own process on two threads, in turns; elapsed and by processor time.

Processor time (`…_core`) is affected less by other load. Segue steps as every fit does (`training.engine.trainer`).
torch-rechub, the peer, is installed in its own environment below SEGUE_HOME/peers, which sees the packages of this one,
so that torch is installed once. Does not depend on models.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.result import Result
from config import settings
from training.engine import trainer
from training.engine.lightning_import import lightning

TRIES = 2
THREADS = 2
WARM_UP_STEPS = 5
"""Segue's steps that are not counted."""


def compare_training_rates(
    name: str, unit: str, ours: list[str], peer: str | None = None, peers: list[str] | None = None
) -> list[Result]:
    """Return results `name` and `name`_core of Segue's command and of the peer's, the better of two tries each."""
    sides = [ours] if peers is None else [ours, peers]
    rates = [[_run_subprocess(side) for side in sides] for _ in range(TRIES)]
    results = []
    for clock, (suffix, unit_suffix) in enumerate((("", ""), ("_core", " of processor time"))):
        best = [max(rate[side][clock] for rate in rates) for side in range(len(sides))]
        fields = (f"{name}{suffix}", f"{unit}/s{unit_suffix}", best[0])
        results.append(Result.from_values(*fields, peer, best[1] if peers else None))
    return results


def measure_rate(
    module: lightning.LightningModule, batches: Sequence[Any], examples: int, steps: int
) -> tuple[float, float]:
    """Return the examples per second of a module in this process, elapsed and by processor time.

    Args:
        module: Module to train.
        batches: Prepared batches, of which step n uses number n modulo their count.
        examples: Examples per batch.
        steps: Steps that are counted.
    """
    step_ends: list[tuple[float, float]] = []

    def on_train_batch_end(*_: Any) -> None:
        step_ends.append((time.perf_counter(), time.process_time()))

    instrumented: Any = module
    instrumented.on_train_batch_end = on_train_batch_end
    schedule = trainer.Schedule(WARM_UP_STEPS + steps, checkpoint_every=WARM_UP_STEPS + steps + 1)
    with tempfile.TemporaryDirectory() as checkpoints:
        trainer.fit(module, lambda step: batches[step % len(batches)], schedule, Path(checkpoints))
    clock, core = (after - before for before, after in zip(step_ends[-1 - steps], step_ends[-1], strict=True))
    return examples * steps / clock, examples * steps / core


def _run_subprocess(command: list[str]) -> tuple[float, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "SEGUE_THREADS": str(THREADS)}
    done = subprocess.run(command, env=environment, cwd=settings.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    clock, core = json.loads(done.stdout.splitlines()[-1])["rates"]
    return float(clock), float(core)
