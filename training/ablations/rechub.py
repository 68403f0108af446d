"""Unmodified DIN or DIEN of torch-rechub: `python -m training.ablations.rechub NAME FOLDER`, in an environment that has
it.

Fits on FOLDER/cases.npz and writes the probabilities of its validation cases to FOLDER/predictions.npy.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

HIDDEN, ATTENTION, DROPOUT = (128, 64), (36,), 0.1
CASES, PREDICTIONS = "cases.npz", "predictions.npy"


def build_model(name: str, tracks: int, width: int) -> Any:
    """Model with features for the hour, the history of tracks and the candidate track."""
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


class Batches:
    """Batches for torch-rechub's trainer, shuffled in every epoch if there is a seed."""

    def __init__(self, cases: Any, part: str, size: int, seed: int | None) -> None:
        self._columns = {name: cases[f"{part}_{name}"] for name in ("history", "other", "item", "hour", "label")}
        self._size, self._random = size, None if seed is None else np.random.default_rng(seed)

    def __len__(self) -> int:
        """Number of batches per epoch."""
        return math.ceil(len(self._columns["label"]) / self._size)

    def __iter__(self) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
        """(features, labels) of each batch."""
        count = len(self._columns["label"])
        order = np.arange(count) if self._random is None else self._random.permutation(count)
        for start in range(0, count, self._size):
            rows = np.sort(order[start : start + self._size])
            part = {name: torch.from_numpy(column[rows]) for name, column in self._columns.items()}
            label = part.pop("label")
            yield {name: column.long() for name, column in part.items()}, label


def main() -> None:
    """Fit, predict, and print the measures as JSON."""
    from torch_rechub.trainers import CTRTrainer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["DIN", "DIEN"])
    parser.add_argument("folder", type=Path)
    for option, kind in (("width", int), ("epochs", int), ("batch", int), ("rate", float), ("seed", int)):
        parser.add_argument(f"--{option}", type=kind, required=True)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("SEGUE_THREADS") or os.environ.get("OMP_NUM_THREADS") or 1))
    torch.manual_seed(options.seed)
    cases = np.load(options.folder / CASES)
    network = build_model(options.name, int(cases["tracks"]), options.width)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    # loss_mode: whether the model returns only its predictions, without an auxiliary loss
    trainer = CTRTrainer(
        network, optimizer_params={"lr": options.rate, "weight_decay": 1e-5}, loss_mode=options.name == "DIN"
    )
    batches, start = Batches(cases, "train", options.batch, options.seed), time.perf_counter()
    for _ in range(options.epochs):
        trainer.train_one_epoch(batches)
    seconds = time.perf_counter() - start
    predictions = trainer.predict(trainer.model, Batches(cases, "validation", 2048, None))
    np.save(options.folder / PREDICTIONS, np.asarray(predictions, dtype=np.float32))
    print(json.dumps({"seconds": seconds, "parameters": parameters}))


if __name__ == "__main__":
    main()
