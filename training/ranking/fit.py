"""Fits one ranker: the same cases, features and budget for all of them.

Does not depend on which ranker it fits, nor on recall. Shape letters: B batch, T tasks, N validation cases, R rows,
V tracks, A artists.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from training.data.feature_services import ServiceContract
from training.data.training_data import TrainingData
from training.data.user_batch import OfflineFeatures
from training.engine import trainer
from training.engine.threads import configure_threads
from training.ranking.boosted_trees import BoostedTrees
from training.ranking.calibration import fit_blend_weight, fit_temperatures, task_losses
from training.ranking.case_batches import CaseBatch, CaseBatches
from training.ranking.cases import RankingCases, missing_tasks, ranking_cases
from training.ranking.event_embeddings import ItemFrequencies
from training.ranking.features.content_similarity import ContentRows
from training.ranking.features.genre_search import TrackGenres
from training.ranking.features.ranking_features import RankingFeatures
from training.ranking.features.schema_fields import further_profile_fields, load_track_statistics
from training.ranking.features.track_statistics import COUNTS
from training.ranking.fitted_ranker import FittedRanker, load_trees
from training.ranking.ranker import Ranker, RankerConfig, TrainingConfig
from training.ranking.registry import RANKERS

LOSS_WEIGHTS = {"not_skipped": 1.0, "full_play": 0.3, "click": 1.0, "like": 0.3}
QUANTILE_SAMPLE_SIZE = 5_000
VALIDATION_CASES = 20_000
WEIGHT_DECAY = 1e-5
DENSE_BATCH_SIZE = 512
"""Cases of a batch of the dense epochs, whose rows are small."""

logger = logging.getLogger(__name__)


def fit_ranker(
    name: str, data: TrainingData, config: RankerConfig, folder: Path, offline: OfflineFeatures | None = None
) -> FittedRanker:
    """Return a ranker fitted on the `train` part; steps, number and weights of the trees and temperatures are chosen on
    `validation`, if any. The trees are those of `data.held_out_model`, if it is given.

    Args:
        name: Key of `RANKERS`.
        data: Training data; of a `final` fit there is no validation part.
        config: The recipe's config, or the resolved config of the `held_out` fit.
        folder: Folder of checkpoints; an interrupted fit with the same arguments resumes from there.
        offline: Point-in-time features; opened if not given.

    Raises:
        ValueError: The log has no training case.
    """
    offline = offline or OfflineFeatures(data)
    service = RANKERS[name].feature_service
    cases = ranking_cases(data)
    train_cases, validation_cases = cases.filter_part("train"), cases.filter_part("validation")
    if not len(train_cases):
        raise ValueError(f"{data.marts} has no play in the part `train`; land some logs before training a ranker")
    if missing_tasks(cases):
        logger.warning(
            "%s is fitted without the tasks %s: the log has no labels", name, ", ".join(missing_tasks(cases))
        )
    config, features = resolve_inputs(name, data, config, cases, offline.contract(service))
    batches, trees = _prepare_training(train_cases, offline, config, service, features)
    training = config.training
    training = replace(training, planned_cases=training.planned_cases or len(batches))
    dense_steps, epoch_steps, id_steps = _plan_steps(training)
    training = replace(training, steps=training.steps or dense_steps + epoch_steps)
    config = replace(config, training=training)

    torch.manual_seed(config.seed)
    model = RANKERS[name](config, count_item_frequencies(train_cases, data), cases.tasks)
    sample = batches[_evenly_spaced_rows(len(batches), QUANTILE_SAMPLE_SIZE)]
    model.fit_quantiles(sample.users, sample.candidates)
    module = RankerModule(model, config, range(dense_steps, dense_steps + id_steps))
    held_out = _read_held_out(validation_cases, offline, service, features, training.batch_size)
    if trees is not None and held_out:
        trees, held_out = _keep_best_trees(trees, held_out)
        config = replace(config, trees=replace(config.trees, counts=trees.counts))

    def batch_at(step: int) -> CaseBatch:
        if step < dense_steps:
            return batches.dense_training_batch(step, DENSE_BATCH_SIZE, config.seed)
        return batches.training_batch(step - dense_steps, training.batch_size, config.seed)

    def validate() -> float:
        return -float(task_losses(*predict_logits(model, held_out)) @ module.loss_weights_T)

    stop = config.validation.early_stopping_step
    schedule = trainer.Schedule(stop or training.steps, config.validation.every, seed=config.seed)
    is_validated = stop is None and len(validation_cases) > 0
    record = trainer.fit(module, batch_at, schedule, folder, validate if is_validated else None)
    resolved = replace(config, validation=replace(config.validation, early_stopping_step=record.steps))
    resolved = _blend_and_calibrate(model, trees, resolved, held_out)
    return FittedRanker(model, replace(features, trees=trees), resolved, _measures(record, batches, cases))


def _prepare_training(
    cases: RankingCases, offline: OfflineFeatures, config: RankerConfig, service: str, features: RankingFeatures
) -> tuple[CaseBatches, BoostedTrees | None]:
    """Return the batches of the network, and the trees: those of `held_out_model` if it is given, else fitted ones."""
    data, network_cases, threads = offline.data, config.training.cases, configure_threads()
    grows_trees = config.trees.count > 0 and data.held_out_model is None
    read_cases = max(network_cases, config.trees.cases) if grows_trees else network_cases
    batches = CaseBatches(cases.newest_per_user(read_cases), offline, service, features)
    _compute_dense_features(batches, config, threads)
    if data.held_out_model is not None:
        trees = load_trees(data.held_out_model, cases.tasks)
    else:
        trees = _fit_trees(batches.newest_per_user(config.trees.cases), config, threads)
    return batches.newest_per_user(network_cases), trees


def _fit_trees(batches: CaseBatches, config: RankerConfig, threads: int) -> BoostedTrees | None:
    """Fit the trees on the dense features of all cases; None without trees."""
    if not config.trees.count or batches.dense_features is None:
        return None
    rows_RN, labels_RT = batches.dense_features.features_RN, batches.cases.labels_RT
    return BoostedTrees.fit(rows_RN, labels_RT, config.trees, config.seed, threads)


def _read_held_out(
    cases: RankingCases, offline: OfflineFeatures, service: str, features: RankingFeatures, batch_size: int
) -> list[CaseBatch]:
    """Return batches of at most VALIDATION_CASES evenly spaced cases."""
    chosen = cases.evenly_spread(VALIDATION_CASES)
    return list(CaseBatches(chosen, offline, service, features).iterate_in_order(batch_size))


def _keep_best_trees(trees: BoostedTrees, held_out: list[CaseBatch]) -> tuple[BoostedTrees, list[CaseBatch]]:
    """Return the trees that are best on held-out cases, and these with the logits of the trees."""
    parts = [
        (batch.users.context_BU, batch.candidates.features_BCF, batch.candidates.matches_BCM) for batch in held_out
    ]
    rows = [torch.cat([context_BU, own_BCF[:, 0], match_BCM[:, 0]], dim=1) for context_BU, own_BCF, match_BCM in parts]
    labels_RT = torch.cat([batch.labels_BT for batch in held_out])
    best = trees.keep_best(torch.cat(rows).numpy(), labels_RT.numpy())
    logits = [torch.from_numpy(best.predict_logits(*(part.numpy() for part in dense))) for dense in parts]
    return best, [
        replace(batch, candidates=replace(batch.candidates, tree_logits_BCT=logits_BCT))
        for batch, logits_BCT in zip(held_out, logits, strict=True)
    ]


def _blend_and_calibrate(
    model: Ranker[RankerConfig], trees: BoostedTrees | None, config: RankerConfig, held_out: list[CaseBatch]
) -> RankerConfig:
    """Set the weights of the trees in the model, and return the config with them and with the temperatures.

    Both are fitted on the held-out cases; without cases, those of the config are kept.
    """
    if trees is not None:
        if held_out:
            weights = fit_tree_weights(model.eval(), held_out, trees)
            config = replace(config, trees=replace(config.trees, weights=weights))
        model.set_tree_weights(config.trees.weights)
    if held_out:
        temperatures = fit_temperatures(*predict_logits(model.eval(), held_out))
        config = replace(config, validation=replace(config.validation, temperatures=temperatures))
    return config


def _compute_dense_features(batches: CaseBatches, config: RankerConfig, threads: int) -> None:
    """Compute the features of all cases ahead, if the trees or several epochs use them."""
    training = config.training
    if training.dense_epochs or config.trees.count or training.epochs > 1:
        # Forking is safe on Linux only.
        batches.precompute_dense_features(threads if sys.platform == "linux" else 1)


def _measures(record: trainer.FitRecord, batches: CaseBatches, cases: RankingCases) -> dict[str, Any]:
    """What the fit reports."""
    return {
        "cases": len(batches),
        "seconds": record.seconds,
        "steps": record.steps,
        "validation": record.history,
        "missing_tasks": missing_tasks(cases),
    }


def _plan_steps(training: TrainingConfig) -> tuple[int, int, int]:
    """Return the steps over dense features, those over all inputs, and the first of these that update ids.

    A `final` fit has more cases than the `held_out` fit, but each of its phases has the same number of steps.
    """
    steps_per_epoch = -(-training.planned_cases // training.batch_size)
    dense_steps = training.dense_epochs * -(-training.planned_cases // DENSE_BATCH_SIZE)
    return dense_steps, training.epochs * steps_per_epoch, training.id_epochs * steps_per_epoch


def resolve_inputs(
    name: str, data: TrainingData, config: RankerConfig, cases: RankingCases, contract: ServiceContract
) -> tuple[RankerConfig, RankingFeatures]:
    """Return the config with the inputs that the log and the schemas have, and the features that compute them."""
    statistics = load_track_statistics(data)
    genres = TrackGenres.build(data.facets) if config.features.genres else None
    content = ContentRows.build(data.content) if config.features.content else None
    reads = replace(
        config.features,
        profile_fields=further_profile_fields(contract),
        statistics_fields=statistics.names[len(COUNTS) :],
    )
    if reads.impressions and not (cases.play_number_R < 0).any():
        logger.warning("%s is fitted without unclicked impressions: the log has no impressions", name)
        reads = replace(reads, impressions=0)
    if reads.genres and genres is None:
        logger.warning("%s is fitted without genres: no track has a language, a style or an emotion", name)
        reads = replace(reads, genres=False)
    if reads.content and content is None:
        reads = replace(reads, content=False)  # many catalogs have no audio, covers or texts
    config = replace(config, features=reads)
    return config, RankingFeatures.from_vocabulary(data.vocabulary, statistics, reads, genres, content)


class RankerModule(trainer.Objective):
    """Trains a ranker: task losses plus auxiliary loss, AdamW, one-cycle learning rate.

    The embeddings of ids are trained in the steps `id_steps` (None: in all).
    """

    loss_weights_T: Tensor

    def __init__(self, model: Ranker[RankerConfig], config: RankerConfig, id_steps: range | None = None) -> None:
        super().__init__()
        self.model, self.config, self.id_steps = model, config, id_steps
        self.register_buffer(
            "loss_weights_T", torch.tensor([LOSS_WEIGHTS[task] for task in model.tasks]), persistent=False
        )

    def training_step(self, batch: CaseBatch, step: int) -> Tensor:
        """Return the loss of one batch; ids that are not trained get no gradient, so the optimizer skips them."""
        self.model.embedding.set_ids_trainable(self.id_steps is None or step in self.id_steps)
        state = self.model.encode_user(batch.users)
        logits_BT = self.model(state, batch.candidates)[:, 0] + self.model.position_bias(batch.position_B)
        auxiliary = self.config.training.auxiliary_weight * self.model.auxiliary_loss(state, batch.users)
        return task_losses(logits_BT, batch.labels_BT) @ self.loss_weights_T + auxiliary

    def configure_optimizers(self) -> tuple[Optimizer, LRScheduler]:
        """Return AdamW with a one-cycle schedule over the planned steps."""
        training = self.config.training
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=training.learning_rate, weight_decay=WEIGHT_DECAY, fused=True
        )
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, training.learning_rate, total_steps=max(training.steps, 2), pct_start=0.1
        )
        return optimizer, cycle


@torch.no_grad()
def predict_logits(model: Ranker[RankerConfig], batches: Iterable[CaseBatch]) -> tuple[Tensor, Tensor]:
    """Return the logits of the cases' tracks [N, T] and their labels [N, T]."""
    device = next(model.parameters()).device
    on_device = (batch.to(device) for batch in batches)
    pairs = [(model(model.encode_user(batch.users), batch.candidates)[:, 0], batch.labels_BT) for batch in on_device]
    return torch.cat([logits for logits, _ in pairs]), torch.cat([labels for _, labels in pairs])


def fit_tree_weights(model: Ranker[RankerConfig], held_out: list[CaseBatch], trees: BoostedTrees) -> tuple[float, ...]:
    """Return the trees' share of each task's logit that minimizes the log loss on held-out cases; 0 without trees."""
    logits_NT, labels_NT = predict_logits(model, held_out)
    tree_logits_NT = torch.cat(
        [batch.candidates.tree_logits_BCT[:, 0] for batch in held_out if batch.candidates.tree_logits_BCT is not None]
    )
    return tuple(
        0.0 if fitted is None else fit_blend_weight(logits_NT[:, task], tree_logits_NT[:, task], labels_NT[:, task])
        for task, fitted in enumerate(trees.tasks)
    )


def count_item_frequencies(cases: RankingCases, data: TrainingData) -> ItemFrequencies:
    """Return how often each track and artist occurs in the training cases."""
    vocabulary = data.vocabulary
    counts_V = np.bincount(cases.item_R, minlength=len(vocabulary))
    counts_A = np.bincount(vocabulary.artist_of_track_V, weights=counts_V, minlength=vocabulary.artist_count)
    return ItemFrequencies(torch.from_numpy(counts_V), torch.from_numpy(counts_A.astype(np.int64)))


def _evenly_spaced_rows(rows: int, count: int) -> np.ndarray:
    """Return at most `count` row numbers at even distances."""
    return (
        np.unique(np.linspace(0, rows - 1, min(rows, count)).astype(np.int64)) if rows else np.zeros(0, dtype=np.int64)
    )
