"""Training steps of our rankers beside torch-rechub's, unmodified, at the same sizes and on the same made cases.

Width 32, batches of 256 cases with 50 events each, all listened to; every side in a process of its own on two threads,
in turns; by the clock, and (`…_core`) by processor time, which other work on the machine changes less. Batches are made
before the clock starts, and the first steps are not counted. Ours steps as every fit does (`training.trainer`), theirs by
its own `CTRTrainer`. Ours reads more of each case (behaviour, age and share played of an event, artists, what hard search
found, two tasks); theirs reads the track, the history of tracks and the hour.

torch-rechub is installed into an environment of its own below SEGUE_HOME/peers, which sees the packages of ours, so
that torch is there once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import settings
from tests.benchmarks import ranking_requests
from tests.benchmarks.benchmark import Result
from training.study.peers import RECHUB, python_with

PEERS = {"target_attention": "DIN", "interest_evolution": "DIEN"}
"""Which model of torch-rechub stands beside a ranker; one that is not here has no peer."""
BATCH, EVENTS = 256, 50
BATCHES, WARM, TRIES = 8, 5, 2
THREADS = 2
CASES = "cases.npz"


def run(name: str, steps: int) -> list[Result]:
    """Cases a second of so many steps, and a second of processor time; of each side the better of two tries."""
    with tempfile.TemporaryDirectory() as folder:
        write_cases(Path(folder))
        ours = [sys.executable, "-m", "tests.benchmarks.train_ranker", name, folder, str(steps)]
        sides = [ours]
        if name in PEERS:
            peer = [str(python_with(*RECHUB)), "-m", "tests.benchmarks.rechub_steps", PEERS[name], folder, str(steps)]
            sides.append(peer)
        rates = [[_child(side) for side in sides] for _ in range(TRIES)]
    peer_name = f"{PEERS[name]} of {RECHUB[0]}" if name in PEERS else None
    results = []
    for by, (suffix, of) in enumerate((("", ""), ("_core", " of processor time"))):
        best = [max(rate[side][by] for rate in rates) for side in range(len(sides))]
        figure = (f"train_{name}{suffix}", f"cases/s{of}", best[0])
        results.append(Result.of(*figure, peer_name, best[1] if peer_name else None))
    return results


def write_cases(folder: Path) -> None:
    """Tracks of the histories, of the candidates and of other histories (for the auxiliary loss), and labels."""
    random = np.random.default_rng(0)
    np.savez(
        folder / CASES,
        history=ranking_requests.tracks(random, BATCHES, BATCH, EVENTS),
        other=ranking_requests.tracks(random, BATCHES, BATCH, EVENTS),
        item=ranking_requests.tracks(random, BATCHES, BATCH),
        label=(random.random((BATCHES, BATCH)) < 0.7).astype(np.float32),
        tracks=ranking_requests.TRACKS,
        width=ranking_requests.WIDTH,
    )


def cases_per_second(name: str, folder: Path, steps: int) -> tuple[float, float]:
    """Ours, in this process: by the clock, and by processor time."""
    import lightning.pytorch as lightning

    from training import trainer
    from training.ranking.fit import RankerModule

    ended: list[tuple[float, float]] = []

    class Timed(RankerModule):
        def on_train_batch_end(self, *_: Any) -> None:
            ended.append((time.perf_counter(), time.process_time()))

    ranker = ranking_requests.ranker(name, steps=WARM + steps, batch_size=BATCH)
    batches = _batches(ranker, np.load(folder / CASES))
    module: lightning.LightningModule = Timed(ranker.model.train(), ranker.settled)
    schedule = trainer.Schedule(WARM + steps, checkpoint_every=WARM + steps + 1)
    with tempfile.TemporaryDirectory() as checkpoints:
        trainer.fit(module, lambda step: batches[step % BATCHES], schedule, Path(checkpoints))
    clock, core = (after - before for before, after in zip(ended[-1 - steps], ended[-1], strict=True))
    return BATCH * steps / clock, BATCH * steps / core


def _batches(ranker: Any, cases: Any) -> list[Any]:
    from training.ranking.case_batches import CaseBatch

    random = np.random.default_rng(1)
    made = []
    for history_BL, item_B, label_B in zip(cases["history"], cases["item"], cases["label"], strict=True):
        users = ranking_requests.user_batch(random, *history_BL.shape)
        users.views["recent_events"].columns["track_id"][:] = history_BL
        side = ranker.features.users(users)
        labels_BT = torch.from_numpy(label_B)[:, None].repeat(1, len(ranker.tasks))
        candidates, position_B = (
            ranker.features.candidates(side, item_B[:, None]),
            torch.zeros(len(item_B), dtype=torch.int64),
        )
        made.append(CaseBatch(side.inputs, candidates, labels_BT, position_B))
    return made


def _child(command: list[str]) -> tuple[float, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "SEGUE_THREADS": str(THREADS)}
    done = subprocess.run(command, env=environment, cwd=settings.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    clock, core = json.loads(done.stdout.splitlines()[-1])["cases_per_second"]
    return float(clock), float(core)


def main() -> None:
    """Our side, in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    options = parser.parse_args()
    print(json.dumps({"cases_per_second": cases_per_second(options.name, options.folder, options.steps)}))


if __name__ == "__main__":
    main()
