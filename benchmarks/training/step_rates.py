"""Two sides that train: each in a process of its own on two threads, in turns; by the clock, and (`…_core`) by processor
time, which other work on the machine changes less.

Ours steps as every fit does (`training.engine.trainer`). torch-rechub, the peer, is installed into an environment of its own below
SEGUE_HOME/peers, which sees the packages of ours, so that torch is there once. Knows nothing about models.
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

import lightning.pytorch as lightning

from benchmarks.result import Result
from config import settings
from training.engine import trainer

TRIES = 2
THREADS = 2
WARM_UP_STEPS = 5
"""Steps of ours that are not counted."""


def compare_training_rates(
    name: str, unit: str, ours: list[str], peer: str | None = None, peers: list[str] | None = None
) -> list[Result]:
    """Figures `name` and `name`_core of the command of ours and of the peer's, where there is one: of each side the better
    of two tries.
    """
    sides = [ours] if peers is None else [ours, peers]
    rates = [[_run_subprocess(side) for side in sides] for _ in range(TRIES)]
    found = []
    for by, (suffix, of) in enumerate((("", ""), ("_core", " of processor time"))):
        best = [max(rate[side][by] for rate in rates) for side in range(len(sides))]
        figure = (f"{name}{suffix}", f"{unit}/s{of}", best[0])
        found.append(Result.from_values(*figure, peer, best[1] if peers else None))
    return found


def measure_rate(
    module: lightning.LightningModule, batches: Sequence[Any], examples: int, steps: int
) -> tuple[float, float]:
    """Examples a second of ours, in this process, each batch of so many: by the clock, and by processor time. Batches are
    made before the clock starts.
    """
    ended: list[tuple[float, float]] = []

    def on_train_batch_end(*_: Any) -> None:
        ended.append((time.perf_counter(), time.process_time()))

    timed: Any = module
    timed.on_train_batch_end = on_train_batch_end
    schedule = trainer.Schedule(WARM_UP_STEPS + steps, checkpoint_every=WARM_UP_STEPS + steps + 1)
    with tempfile.TemporaryDirectory() as checkpoints:
        trainer.fit(module, lambda step: batches[step % len(batches)], schedule, Path(checkpoints))
    clock, core = (after - before for before, after in zip(ended[-1 - steps], ended[-1], strict=True))
    return examples * steps / clock, examples * steps / core


def _run_subprocess(command: list[str]) -> tuple[float, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "SEGUE_THREADS": str(THREADS)}
    done = subprocess.run(command, env=environment, cwd=settings.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    clock, core = json.loads(done.stdout.splitlines()[-1])["rates"]
    return float(clock), float(core)
