"""torch-rechub's DIN or DIEN on the cases of `train_ranker`, in the environment that has it: cases a second.

Knows nothing of ours but the file of cases. The model is that of `training.ablations.rechub`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.ablations.rechub import build_model

WARM_UP_STEPS = 5


def cases_per_second(name: str, cases: Any, steps: int) -> tuple[float, float]:
    """Of so many steps of torch-rechub's own trainer: by the clock, and by processor time."""
    from torch_rechub.trainers import CTRTrainer

    batches = [
        (
            {
                "history": torch.from_numpy(cases["history"][n]),
                "other": torch.from_numpy(cases["other"][n]),
                "item": torch.from_numpy(cases["item"][n]),
                "hour": torch.full((len(cases["item"][n]),), 12),
            },
            torch.from_numpy(cases["label"][n]),
        )
        for n in range(len(cases["item"]))
    ]
    torch.manual_seed(0)
    # loss_mode: whether the model returns its predictions alone, without a loss of its own
    trainer = CTRTrainer(build_model(name, int(cases["tracks"]), int(cases["width"])), loss_mode=name == "DIN")
    trainer.train_one_epoch(batches[:WARM_UP_STEPS])
    epoch = [batches[step % len(batches)] for step in range(steps)]
    began = time.perf_counter(), time.process_time()
    trainer.train_one_epoch(epoch)
    clock, core = time.perf_counter() - began[0], time.process_time() - began[1]
    return steps * cases["item"].shape[1] / clock, steps * cases["item"].shape[1] / core


def main() -> None:
    """One model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["DIN", "DIEN"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    cases = np.load(options.folder / "cases.npz")
    print(json.dumps({"rates": cases_per_second(options.name, cases, options.steps)}))


if __name__ == "__main__":
    main()
