"""torch-rechub's SASRec or MIND on the sequences of `train_channel`, in the environment that has it: examples a second.

Knows nothing of ours but the file of sequences.
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

WARM_UP_STEPS = 5


def examples_per_second(name: str, made: Any, steps: int) -> tuple[float, float]:
    """Of so many steps of torch-rechub's own trainer: by the clock, and by processor time."""
    from torch_rechub.trainers import MatchTrainer

    torch.manual_seed(0)
    model, batches = (_build_sasrec if name == "SASRec" else _build_mind)(made)
    # Pairs of a target and a drawn track, or a list of one target and some.
    trainer = MatchTrainer(model, mode=1 if name == "SASRec" else 2)
    trainer.train_one_epoch(batches[:WARM_UP_STEPS])
    epoch = [batches[step % len(batches)] for step in range(steps)]
    began = time.perf_counter(), time.process_time()
    trainer.train_one_epoch(epoch)
    clock, core = time.perf_counter() - began[0], time.process_time() - began[1]
    examples = steps * made["item"].shape[1]
    return examples / clock, examples / core


def _build_sasrec(made: Any) -> tuple[Any, list[Any]]:
    from torch_rechub.basic.features import SequenceFeature
    from torch_rechub.models.matching import SASRec

    tracks, width, length = len(made["share"]), int(made["width"]), int(made["length"])
    features = [
        SequenceFeature(field, tracks, width, pooling="concat", shared_with=shared)
        for field, shared in (("seq", None), ("pos", "seq"), ("neg", "seq"))
    ]

    class InOneColumn(SASRec):
        """The pair loss takes a score a row."""

        def forward(self, x: Any) -> Any:
            """Scores of targets and of drawn tracks, each place in a row of its own."""
            positive_BL, negative_BL = super().forward(x)
            return positive_BL.reshape(-1), negative_BL.reshape(-1, 1)

    model = InOneColumn(features, max_len=length, dropout_rate=float(made["dropout"]), num_blocks=2, num_heads=2)
    batches = [
        (
            {
                "seq": torch.from_numpy(item[:, :length]),
                "pos": torch.from_numpy(item[:, 1 : length + 1]),
                "neg": torch.from_numpy(negative[:, :length]),
            },
            torch.ones(len(item)),
        )
        for item, negative in zip(made["item"], made["negative"], strict=True)
    ]
    return model, batches


def _build_mind(made: Any) -> tuple[Any, list[Any]]:
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.matching import MIND

    tracks, width, length = len(made["share"]), int(made["width"]), int(made["length"])
    negatives = int(made["negatives"])
    model = MIND(
        [SparseFeature("user", 2, width)],
        [SequenceFeature("history", tracks, width, pooling="concat", shared_with="item")],
        [SparseFeature("item", tracks, width)],
        [SequenceFeature("drawn", tracks, width, pooling="concat", shared_with="item")],
        max_length=length,
        interest_num=int(made["interests"]),
    )
    batches = [
        (
            {
                "user": torch.ones(len(item), dtype=torch.int64),
                "history": torch.from_numpy(item[:, :length]),
                "item": torch.from_numpy(item[:, length]),
                "drawn": torch.from_numpy(negative[:, :negatives]),
            },
            torch.zeros(len(item)),
        )
        for item, negative in zip(made["item"], made["negative"], strict=True)
    ]
    return model, batches


def main() -> None:
    """One model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["SASRec", "MIND"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    made = np.load(options.folder / "sequences.npz")
    print(json.dumps({"rates": examples_per_second(options.name, made, options.steps)}))


if __name__ == "__main__":
    main()
