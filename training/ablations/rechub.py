"""torch-rechub's DIN or DIEN, unmodified, in the environment that has it: `python -m training.ablations.rechub NAME FOLDER`.

Learns from FOLDER/cases.npz and writes probabilities of its validation cases to FOLDER/said.npy. Knows nothing of ours but
that file.
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
CASES, PREDICTIONS = "cases.npz", "said.npy"


def build_model(name: str, tracks: int, width: int) -> Any:
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


class Batches:
    """Cases as torch-rechub's trainer takes them, in an order drawn anew for every pass, or in their own."""

    def __init__(self, cases: Any, part: str, size: int, seed: int | None) -> None:
        self._columns = {name: cases[f"{part}_{name}"] for name in ("history", "other", "item", "hour", "label")}
        self._size, self._random = size, None if seed is None else np.random.default_rng(seed)

    def __len__(self) -> int:
        """How many batches a pass has."""
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
    """Fit, predict, say how long it took."""
    from torch_rechub.trainers import CTRTrainer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["DIN", "DIEN"])
    parser.add_argument("folder", type=Path)
    for option, kind in (("width", int), ("epochs", int), ("batch", int), ("rate", float), ("seed", int)):
        parser.add_argument(f"--{option}", type=kind, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("SEGUE_THREADS") or os.environ.get("OMP_NUM_THREADS") or 1))
    torch.manual_seed(asked.seed)
    cases = np.load(asked.folder / CASES)
    network = build_model(asked.name, int(cases["tracks"]), asked.width)
    parameters = sum(one.numel() for one in network.parameters())
    # loss_mode: whether the model returns its predictions alone, without a loss of its own
    trainer = CTRTrainer(
        network, optimizer_params={"lr": asked.rate, "weight_decay": 1e-5}, loss_mode=asked.name == "DIN"
    )
    batches, began = Batches(cases, "train", asked.batch, asked.seed), time.perf_counter()
    for _ in range(asked.epochs):
        trainer.train_one_epoch(batches)
    seconds = time.perf_counter() - began
    said = trainer.predict(trainer.model, Batches(cases, "validation", 2048, None))
    np.save(asked.folder / PREDICTIONS, np.asarray(said, dtype=np.float32))
    print(json.dumps({"seconds": seconds, "parameters": parameters}))


if __name__ == "__main__":
    main()
