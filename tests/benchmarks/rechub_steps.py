"""torch-rechub's DIN or DIEN on the cases of `train_ranker`, in the environment that has it: cases a second.

Knows nothing of ours but the file of cases. The sizes of the layers are those of our rankers.
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

WARM = 5
HIDDEN, ATTENTION, DROPOUT = (128, 64), (80, 40), 0.1


def model(name: str, tracks: int, width: int) -> Any:
    """The model with fields for the hour, the history of tracks and the candidate's track."""
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.ranking import DIEN, DIN

    def sequence(field: str) -> Any:
        return SequenceFeature(field, tracks, width, pooling="concat", shared_with="item", padding_idx=0)

    head = {"dims": list(HIDDEN), "dropout": DROPOUT}
    fields = {
        "features": [SparseFeature("hour", 24, width)],
        "history_features": [sequence("history")],
        "target_features": [SparseFeature("item", tracks, width, padding_idx=0)],
        "mlp_params": head,
    }
    if name == "DIN":
        return DIN(**fields, attention_mlp_params={"dims": list(ATTENTION)})
    return DIEN(**fields, neg_history_features=[sequence("other")])


def cases_per_second(name: str, cases: Any, steps: int) -> float:
    """Of so many steps of torch-rechub's own trainer."""
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
    trainer = CTRTrainer(model(name, int(cases["tracks"]), int(cases["width"])), loss_mode=name == "DIN")
    trainer.train_one_epoch(batches[:WARM])
    epoch = [batches[step % len(batches)] for step in range(steps)]
    began = time.perf_counter()
    trainer.train_one_epoch(epoch)
    return steps * cases["item"].shape[1] / (time.perf_counter() - began)


def main() -> None:
    """One model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["DIN", "DIEN"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    cases = np.load(options.folder / "cases.npz")
    print(json.dumps({"cases_per_second": cases_per_second(options.name, cases, options.steps)}))


if __name__ == "__main__":
    main()
