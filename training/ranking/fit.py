"""Training one ranker: the same cases, features and budget for every rung of the ladder.

Knows nothing about which ranker it is given, and nothing about recall. Shape letters: B batch, T tasks, N validation
cases.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import polars as pl
import torch
from torch import Tensor

from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures
from training.engine import distributed, trainer
from training.ranking import RANKERS
from training.ranking.boosted_trees import BoostedTrees
from training.ranking.calibration import fit_blend_weight, fit_temperatures, task_losses
from training.ranking.case_batches import CaseBatch, CaseBatches
from training.ranking.cases import RankingCases, missing_tasks, ranking_cases
from training.ranking.event_embeddings import ItemFrequencies
from training.ranking.features.track_genres import TrackGenres
from training.ranking.features.track_statistics import TrackStatistics
from training.ranking.fitted_ranker import FittedRanker, build_ranking_features
from training.ranking.ranker import Ranker, RankerConfig

LOSS_WEIGHTS = {"not_skipped": 1.0, "full_play": 0.3, "click": 1.0, "like": 0.3}
QUANTILE_SAMPLE_SIZE = 5_000
DENSE_BATCH_SIZE = 512
"""Cases of a batch of numbers alone, which are small."""

logger = logging.getLogger(__name__)


def fit_ranker(
    name: str, data: TrainingData, config: RankerConfig, folder: Path, offline: OfflineFeatures | None = None
) -> FittedRanker:
    """A ranker learned from the `train` part; steps and temperatures are chosen on `validation` where `data` has one.

    `folder` is for checkpoints: a killed fit that is started again with the same arguments goes on from there.

    Raises:
        ValueError: the log has no case to learn from.
    """
    offline = offline or OfflineFeatures(data)
    service = RANKERS[name].feature_service
    cases = ranking_cases(data)
    learned, held_out = cases.filter_part("train"), cases.filter_part("validation")
    if not len(learned):
        raise ValueError(f"{data.marts} has no play in the part `train`; land some logs before training a ranker")
    if missing_tasks(cases):
        logger.warning("%s trains without the heads %s: the log holds none", name, ", ".join(missing_tasks(cases)))
    if config.impressions and not (cases.play_number_R < 0).any():
        logger.warning("%s trains without impressions that were left alone: the log holds no impression", name)
        config = replace(config, impressions=0)
    kinds = TrackGenres.build(data.facets) if config.genres else None
    if config.genres and kinds is None:
        logger.warning("%s trains without kinds of music: no track has a language, a style or an emotion", name)
        config = replace(config, genres=False)
    features = build_ranking_features(config, data.vocabulary, load_track_statistics(data), kinds)
    batches = CaseBatches(learned.newest_per_user(config.cases), offline, service, features)
    threads = trainer.configure_threads()
    if config.dense_epochs or config.trees or config.epochs > 1:
        # Elsewhere a fork is not safe.
        batches.precompute_dense_features(threads if sys.platform == "linux" else 1)
    if config.trees and batches.dense_features is not None and distributed.is_rank0():
        label_R = batches.cases.labels_RT[:, 0]
        trees = BoostedTrees.fit(batches.dense_features.features_RN, label_R, config.trees, config.seed, threads)
        features = replace(features, trees=trees)
    per_epoch = -(-len(batches) // config.batch_size)
    number_steps = config.dense_epochs * -(-len(batches) // DENSE_BATCH_SIZE)
    config = replace(config, steps=config.steps or number_steps + config.epochs * per_epoch)

    torch.manual_seed(config.seed)
    model = RANKERS[name](config, count_item_frequencies(learned, data), cases.tasks)
    sample = batches[_evenly_spaced_rows(len(batches), QUANTILE_SAMPLE_SIZE)]
    model.fit_quantiles(sample.users, sample.candidates)
    module = RankerModule(model, config, range(number_steps, number_steps + config.id_epochs * per_epoch))
    validation = CaseBatches(
        held_out.take(_evenly_spaced_rows(len(held_out), config.validation_cases)), offline, service, features
    )
    held = list(validation.iterate_in_order(config.batch_size)) if distributed.is_rank0() else []

    def batch_at(step: int) -> CaseBatch:
        if step < number_steps:
            return batches.dense_training_batch(step, DENSE_BATCH_SIZE, config.seed)
        return batches.training_batch(step - number_steps, config.batch_size, config.seed)

    def validate() -> float:
        return -float(task_losses(*predict_logits(model, held)) @ module.loss_weights_T)

    schedule = trainer.Schedule(config.steps, config.validate_every, seed=config.seed)
    record = trainer.fit(module, batch_at, schedule, folder, validate if len(validation) else None)
    model.cpu()
    settled = replace(config, steps=record.steps)
    if features.trees is not None:
        settled = replace(settled, **fit_tree_weights(model.eval(), held)) if held else settled
        model.set_tree_ensemble(settled)
    if held:
        settled = replace(settled, temperatures=fit_temperatures(*predict_logits(model.eval(), held)))
    measures: dict[str, Any] = {
        "cases": len(batches),
        "seconds": record.seconds,
        "steps": record.steps,
        "data_wait_share": record.data_wait_share,
        "validation": record.history,
        "missing_tasks": missing_tasks(cases),
    }
    return FittedRanker(model, features, settled, measures)


class RankerModule(lightning.LightningModule):
    """The sum of the task losses and of the ranker's own, AdamW, one cycle of the learning rate; ids learn in the steps
    `id_steps` (None: always).
    """

    loss_weights_T: Tensor

    def __init__(self, model: Ranker, config: RankerConfig, id_steps: range | None = None) -> None:
        super().__init__()
        self.model, self.config, self.id_steps = model, config, id_steps
        self.register_buffer(
            "loss_weights_T", torch.tensor([LOSS_WEIGHTS[task] for task in model.tasks]), persistent=False
        )

    def on_train_batch_start(self, *_: Any) -> None:
        """A parameter without a gradient is left alone by the optimizer."""
        self.model.embedding.set_ids_trainable(self.id_steps is None or self.global_step in self.id_steps)

    def training_step(self, batch: CaseBatch, _: int) -> Tensor:
        """Loss of one batch."""
        state = self.model.encode_user(batch.users)
        logits_BT = self.model(state, batch.candidates)[:, 0] + self.model.position_bias(batch.position_B)
        auxiliary = self.config.auxiliary_weight * self.model.auxiliary_loss(state, batch.users)
        known_T = (~batch.labels_BT.isnan()).sum(0)
        return (
            distributed.weight_for_global_mean(task_losses(logits_BT, batch.labels_BT), known_T) @ self.loss_weights_T
            + auxiliary
        )

    def transfer_batch_to_device(self, batch: CaseBatch, device: torch.device, dataloader_idx: int) -> CaseBatch:  # noqa: ARG002
        """Lightning's own way cannot rebuild frozen dataclasses."""
        return batch.to(device)

    def configure_optimizers(self) -> Any:
        """One cycle over the planned steps: high rates early, almost none at the end."""
        numbers = self.config
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=numbers.learning_rate, weight_decay=numbers.weight_decay, fused=True
        )
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, numbers.learning_rate, total_steps=max(numbers.steps, 2), pct_start=0.1
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


@torch.no_grad()
def predict_logits(model: Ranker, batches: Iterable[CaseBatch]) -> tuple[Tensor, Tensor]:
    """Logits [N, T] of the cases' own tracks, and their labels [N, T]."""
    device = next(model.parameters()).device
    moved = (one.to(device) for one in batches)
    pairs = [(model(model.encode_user(one.users), one.candidates)[:, 0], one.labels_BT) for one in moved]
    return torch.cat([logits for logits, _ in pairs]), torch.cat([labels for _, labels in pairs])


def fit_tree_weights(model: Ranker, held: list[CaseBatch]) -> dict[str, Any]:
    """What of a config says how much trees count: their share of each task's logit with the least log loss on the held-out
    cases.

    They were grown for the first task. What pleases is listened to, clicked and liked alike, so that they know the others'
    order too, but not how frequent they are: the shift keeps the network's mean.
    """
    logits_NT, labels_NT = predict_logits(model, held)
    said_N = torch.cat(
        [one.candidates.tree_logits_BC[:, 0] for one in held if one.candidates.tree_logits_BC is not None]
    )
    first, *further = range(len(model.tasks))
    shares, shifts = [], []
    for task in further:
        is_known_N = ~labels_NT[:, task].isnan()
        gap_N = (logits_NT[:, task] - said_N)[is_known_N]
        shift = float(gap_N.mean()) if len(gap_N) else 0.0
        shares.append(fit_blend_weight(logits_NT[:, task], said_N + shift, labels_NT[:, task]) if len(gap_N) else 0.0)
        shifts.append(round(shift, 4))
    of_first = fit_blend_weight(logits_NT[:, first], said_N, labels_NT[:, first])
    return {"tree_weight": of_first, "secondary_tree_weights": tuple(shares), "secondary_tree_offsets": tuple(shifts)}


def count_item_frequencies(cases: RankingCases, data: TrainingData) -> ItemFrequencies:
    """How often each track and artist occurs in the training cases."""
    vocabulary = data.vocabulary
    counts_V = np.bincount(cases.item_R, minlength=len(vocabulary))
    counts_A = np.bincount(vocabulary.artist_of_track_V, weights=counts_V, minlength=vocabulary.artist_count)
    return ItemFrequencies(torch.from_numpy(counts_V), torch.from_numpy(counts_A.astype(np.int64)))


def load_track_statistics(data: TrainingData) -> TrackStatistics:
    """The mart, in the vocabulary's numbers."""
    rows = pl.read_parquet(data.marts / "track_statistics.parquet")
    return TrackStatistics.build(rows, data.vocabulary.encode(rows["track_id"].to_list()))


def _evenly_spaced_rows(rows: int, wanted: int) -> np.ndarray:
    """At most `wanted` row numbers at even distances."""
    return (
        np.unique(np.linspace(0, rows - 1, min(rows, wanted)).astype(np.int64)) if rows else np.zeros(0, dtype=np.int64)
    )
