"""Training rates of Segue's rankers and of torch-rechub's, unmodified, at the same sizes on the same synthetic cases.

Width 32, batches of 256 cases with 50 listened events each; see `step_rates`. Segue reads more of each case (behavior,
age and played ratio of events, artists, hard search, two tasks); torch-rechub, with its own `CTRTrainer`, reads the
track, the history of tracks and the hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.result import Result
from benchmarks.serving import synthetic_rankers
from benchmarks.training import step_rates
from training.ablations.peer_trial import RECHUB, ensure_environment

PEERS = {"target_attention": "DIN", "interest_evolution": "DIEN"}
"""Model of torch-rechub that a ranker is compared with; the others have no peer."""
BATCH, EVENTS = 256, 50
BATCHES = 8
CASES = "cases.npz"


def run(name: str, steps: int) -> list[Result]:
    """Return cases per second of `steps` steps, elapsed and by processor time, the better of two tries each."""
    with tempfile.TemporaryDirectory() as folder:
        write_cases(Path(folder))
        ours = [sys.executable, "-m", "benchmarks.training.ranker_steps", name, folder, str(steps)]
        if name not in PEERS:
            return step_rates.compare_training_rates(f"train_{name}", "cases", ours)
        peers = [
            str(ensure_environment(*RECHUB)),
            "-m",
            "benchmarks.training.rechub",
            PEERS[name],
            folder,
            str(steps),
        ]
        return step_rates.compare_training_rates(f"train_{name}", "cases", ours, f"{PEERS[name]} of {RECHUB[0]}", peers)


def write_cases(folder: Path) -> None:
    """Write tracks of the histories, of the candidates and of other histories (for the auxiliary loss), and labels."""
    random = np.random.default_rng(0)
    np.savez(
        folder / CASES,
        history=synthetic_rankers.sample_tracks(random, BATCHES, BATCH, EVENTS),
        other=synthetic_rankers.sample_tracks(random, BATCHES, BATCH, EVENTS),
        item=synthetic_rankers.sample_tracks(random, BATCHES, BATCH),
        label=(random.random((BATCHES, BATCH)) < 0.7).astype(np.float32),
        tracks=synthetic_rankers.TRACKS,
        width=synthetic_rankers.WIDTH,
    )


def cases_per_second(name: str, folder: Path, steps: int) -> tuple[float, float]:
    """Return the rates of a ranker of Segue in this process, elapsed and by processor time."""
    from training.ranking.fit import RankerModule

    ranker = synthetic_rankers.make_ranker(
        name, {"training.steps": step_rates.WARM_UP_STEPS + steps, "training.batch_size": BATCH}
    )
    batches = _batches(ranker, np.load(folder / CASES))
    return step_rates.measure_rate(RankerModule(ranker.model.train(), ranker.resolved_config), batches, BATCH, steps)


def _batches(ranker: Any, cases: Any) -> list[Any]:
    from training.ranking.case_batches import CaseBatch

    random = np.random.default_rng(1)
    batches = []
    for history_BL, item_B, label_B in zip(cases["history"], cases["item"], cases["label"], strict=True):
        users = synthetic_rankers.make_user_batch(random, *history_BL.shape)
        users.views["recent_events"].columns["track_id"][:] = history_BL
        side = ranker.features.prepare_users(users)
        labels_BT = torch.from_numpy(label_B)[:, None].repeat(1, len(ranker.tasks))
        candidates, position_B = (
            ranker.features.prepare_candidates(side, item_B[:, None]),
            torch.zeros(len(item_B), dtype=torch.int64),
        )
        batches.append(CaseBatch(side.inputs, candidates, labels_BT, position_B))
    return batches


def main() -> None:
    """Measure Segue's ranker, in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    options = parser.parse_args()
    print(json.dumps({"rates": cases_per_second(options.name, options.folder, options.steps)}))


if __name__ == "__main__":
    main()
