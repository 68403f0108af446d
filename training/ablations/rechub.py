"""Unmodified DIN or DIEN of torch-rechub: `python -m training.ablations.rechub NAME FOLDER`, in an environment that has
it.

Fits on FOLDER/cases.npz and writes the probabilities of its validation cases to FOLDER/predictions.npy, those after the
epoch with the highest AUC on an even sample of the validation cases.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

HIDDEN, ATTENTION, DROPOUT = (128, 64), (36,), 0.1
CASES, PREDICTIONS = "cases.npz", "predictions.npy"
COLUMNS = ("history", "other", "behaviour_history", "behaviour_other", "item", "hour", "label")
UNKNOWN_BEHAVIOUR = 1
TUNING_CASES = 20_000
"""Validation cases that the number of epochs is chosen on, as many as those of Segue's rankers."""


def build_model(name: str, tracks: int, width: int, behaviours: int = 0) -> Any:
    """Model with features for the hour, the history of tracks and the candidate track.

    Args:
        name: DIN or DIEN.
        tracks: Number of track codes.
        width: Width of the embeddings.
        behaviours: Number of behavior codes of the history (listened, skipped, ...), which are a second sequence; its
            target is the unknown behavior of the candidate. 0: the model does not read them.
    """
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.ranking import DIEN, DIN

    codes = {"item": tracks} | ({"behaviour": behaviours} if behaviours else {})
    histories = {"item": ("history", "other"), "behaviour": ("behaviour_history", "behaviour_other")}

    def sequences(which: int) -> list[Any]:
        return [
            SequenceFeature(histories[target][which], size, width, pooling="concat", shared_with=target, padding_idx=0)
            for target, size in codes.items()
        ]

    head = {"dims": list(HIDDEN), "dropout": DROPOUT}
    fields = {
        "features": [SparseFeature("hour", 24, width)],
        "history_features": sequences(0),
        "target_features": [SparseFeature(target, size, width, padding_idx=0) for target, size in codes.items()],
        "mlp_params": head,
    }
    if name == "DIN":
        return DIN(**fields, attention_mlp_params={"dims": list(ATTENTION)})
    return DIEN(**fields, neg_history_features=sequences(1))


class Batches:
    """Batches for torch-rechub's trainer, shuffled in every epoch if there is a seed."""

    def __init__(self, cases: Any, part: str, size: int, seed: int | None, rows: slice = slice(None)) -> None:
        self._columns = {name: cases[f"{part}_{name}"][rows] for name in COLUMNS}
        self._columns["behaviour"] = np.full(len(self._columns["item"]), UNKNOWN_BEHAVIOUR)
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
    from sklearn.metrics import roc_auc_score
    from torch_rechub.trainers import CTRTrainer

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["DIN", "DIEN"])
    parser.add_argument("folder", type=Path)
    for option, kind in (
        ("width", int),
        ("epochs", int),
        ("batch", int),
        ("rate", float),
        ("seed", int),
        ("threads", int),
    ):
        parser.add_argument(f"--{option}", type=kind, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    cases = np.load(options.folder / CASES)
    network = build_model(options.name, int(cases["tracks"]), options.width, int(cases["behaviours"]))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    # loss_mode: whether the model returns only its predictions, without an auxiliary loss
    trainer = CTRTrainer(
        network, optimizer_params={"lr": options.rate, "weight_decay": 1e-5}, loss_mode=options.name == "DIN"
    )
    batches, start = Batches(cases, "train", options.batch, options.seed), time.perf_counter()
    every = slice(None, None, max(1, len(cases["validation_label"]) // TUNING_CASES))
    tuning, labels = Batches(cases, "validation", 2048, None, every), cases["validation_label"][every]
    auc_by_epoch: list[float] = []
    best: dict[str, torch.Tensor] = {}
    while len(auc_by_epoch) < options.epochs and (not auc_by_epoch or auc_by_epoch[-1] == max(auc_by_epoch)):
        trainer.train_one_epoch(batches)
        auc_by_epoch.append(float(roc_auc_score(labels, trainer.predict(trainer.model, tuning))))
        if auc_by_epoch[-1] == max(auc_by_epoch):
            best = {key: value.clone() for key, value in network.state_dict().items()}
    seconds = time.perf_counter() - start
    network.load_state_dict(best)
    predictions = trainer.predict(trainer.model, Batches(cases, "validation", 2048, None))
    np.save(options.folder / PREDICTIONS, np.asarray(predictions, dtype=np.float32))
    epochs = int(np.argmax(auc_by_epoch)) + 1
    print(json.dumps({"seconds": seconds, "parameters": parameters, "epochs": epochs, "auc_by_epoch": auc_by_epoch}))


if __name__ == "__main__":
    main()
