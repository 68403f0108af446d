"""torch-rechub's models, run in their own environment: examples per second of its own trainers.

SASRec and MIND on the sequences of `channel_steps`, DIN and DIEN on the cases of `ranker_steps`. The file of inputs is
the only interface; DIN and DIEN are built by `training.ablations.rechub`.
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
RECALL_MODELS, RANKING_MODELS = ("SASRec", "MIND"), ("DIN", "DIEN")


def examples_per_second(name: str, sequences: Any, steps: int) -> tuple[float, float]:
    """Return the examples per second of `steps` training steps of a recall model, elapsed and by processor time."""
    from torch_rechub.trainers import MatchTrainer

    torch.manual_seed(0)
    model, batches = (_build_sasrec if name == "SASRec" else _build_mind)(sequences)
    # Mode 1: pairs of a target and a sampled track; mode 2: lists of a target and sampled tracks.
    trainer = MatchTrainer(model, mode=1 if name == "SASRec" else 2)
    trainer.train_one_epoch(batches[:WARM_UP_STEPS])
    epoch = [batches[step % len(batches)] for step in range(steps)]
    began = time.perf_counter(), time.process_time()
    trainer.train_one_epoch(epoch)
    clock, core = time.perf_counter() - began[0], time.process_time() - began[1]
    examples = steps * sequences["item"].shape[1]
    return examples / clock, examples / core


def _build_sasrec(sequences: Any) -> tuple[Any, list[Any]]:
    from torch_rechub.basic.features import SequenceFeature
    from torch_rechub.models.matching import SASRec

    tracks, width, length = len(sequences["share"]), int(sequences["width"]), int(sequences["length"])
    features = [
        SequenceFeature(field, tracks, width, pooling="concat", shared_with=shared)
        for field, shared in (("seq", None), ("pos", "seq"), ("neg", "seq"))
    ]

    class InOneColumn(SASRec):
        """SASRec whose scores have the shape of torch-rechub's pairwise loss: one score per row."""

        def forward(self, x: Any) -> Any:
            """Return the scores of targets and of sampled tracks, one row per position."""
            positive_BL, negative_BL = super().forward(x)
            return positive_BL.reshape(-1), negative_BL.reshape(-1, 1)

    model = InOneColumn(features, max_len=length, dropout_rate=float(sequences["dropout"]), num_blocks=2, num_heads=2)
    batches = [
        (
            {
                "seq": torch.from_numpy(item[:, :length]),
                "pos": torch.from_numpy(item[:, 1 : length + 1]),
                "neg": torch.from_numpy(negative[:, :length]),
            },
            torch.ones(len(item)),
        )
        for item, negative in zip(sequences["item"], sequences["negative"], strict=True)
    ]
    return model, batches


def _build_mind(sequences: Any) -> tuple[Any, list[Any]]:
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.matching import MIND

    tracks, width, length = len(sequences["share"]), int(sequences["width"]), int(sequences["length"])
    negatives = int(sequences["negatives"])
    model = MIND(
        [SparseFeature("user", 2, width)],
        [SequenceFeature("history", tracks, width, pooling="concat", shared_with="item")],
        [SparseFeature("item", tracks, width)],
        [SequenceFeature("sampled", tracks, width, pooling="concat", shared_with="item")],
        max_length=length,
        interest_num=int(sequences["interests"]),
    )
    batches = [
        (
            {
                "user": torch.ones(len(item), dtype=torch.int64),
                "history": torch.from_numpy(item[:, :length]),
                "item": torch.from_numpy(item[:, length]),
                "sampled": torch.from_numpy(negative[:, :negatives]),
            },
            torch.zeros(len(item)),
        )
        for item, negative in zip(sequences["item"], sequences["negative"], strict=True)
    ]
    return model, batches


def cases_per_second(name: str, cases: Any, steps: int) -> tuple[float, float]:
    """Return the cases per second of `steps` training steps of a ranking model, elapsed and by processor time."""
    from torch_rechub.trainers import CTRTrainer

    from training.ablations.rechub import build_model

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
    # loss_mode: True for a model that returns predictions only, without an auxiliary loss
    trainer = CTRTrainer(build_model(name, int(cases["tracks"]), int(cases["width"])), loss_mode=name == "DIN")
    trainer.train_one_epoch(batches[:WARM_UP_STEPS])
    epoch = [batches[step % len(batches)] for step in range(steps)]
    began = time.perf_counter(), time.process_time()
    trainer.train_one_epoch(epoch)
    clock, core = time.perf_counter() - began[0], time.process_time() - began[1]
    return steps * cases["item"].shape[1] / clock, steps * cases["item"].shape[1] / core


def main() -> None:
    """Measure one model and print its rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*RECALL_MODELS, *RANKING_MODELS])
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if options.name in RECALL_MODELS:
        rates = examples_per_second(options.name, np.load(options.folder / "sequences.npz"), options.steps)
    else:
        rates = cases_per_second(options.name, np.load(options.folder / "cases.npz"), options.steps)
    print(json.dumps({"rates": rates}))


if __name__ == "__main__":
    main()
