"""Fits one ranker: the same cases, features and budget for all of them.

Temperature scaling calibrates the probabilities: one temperature per task, fitted on validation, divides its logits (Guo et al.
2017, "On Calibration of Modern Neural Networks", 1706.04599). The order of candidates does not change.

Does not depend on which ranker it fits, nor on recall. Shape letters: B batch, T tasks, N validation cases, R rows,
V tracks, A artists, G grid points.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from recommender.ranking.boosted_trees import BoostedTrees
from recommender.ranking.event_embeddings import ItemFrequencies
from recommender.ranking.features.content_similarity import ContentRows
from recommender.ranking.features.genre_search import TrackGenres
from recommender.ranking.features.ranking_features import RankingFeatures
from recommender.ranking.features.track_statistics import COUNTS, further_profile_fields
from recommender.ranking.fitted_ranker import FittedRanker
from recommender.ranking.ranker import Ranker
from recommender.ranking.ranker_config import RankerConfig
from recommender.ranking.registry import RANKERS
from sequences.feature_services import ServiceContract
from training import trainer
from training.data.offline_features import OfflineFeatures
from training.data.recall_cases import row_chunks
from training.data.training_data import TrainingData
from training.process import configure_threads
from training.ranking.case_batches import CaseBatch, CaseBatches, load_track_statistics
from training.ranking.labeled_cases import RankingCases, evenly_spaced_rows, missing_tasks, ranking_cases

QUANTILE_SAMPLE_SIZE = 5_000
VALIDATION_CASES = 20_000
WEIGHT_DECAY = 1e-5
DENSE_BATCH_SIZE = 512
"""Cases of a batch of the dense epochs, whose rows are small."""

logger = logging.getLogger(__name__)


def fit_ranker(name: str, data: TrainingData, config: RankerConfig, folder: Path) -> FittedRanker:
    """Return a ranker fitted on the `train` part; steps, number and weights of the trees and temperatures are chosen on
    `validation`, if any. With `data.held_out_model`, that ranker with the present statistics and contents of tracks.

    Args:
        name: Key of `RANKERS`.
        data: Training data; of a `final` fit there is no validation part.
        config: The recipe's config, or the resolved config of the `held_out` fit.
        folder: Folder of checkpoints; an interrupted fit with the same arguments resumes from there.

    Raises:
        ValueError: The log has no training case.
    """
    if data.held_out_model is not None:
        return _with_present_tracks(FittedRanker.load(data.held_out_model, data.vocabulary), data)
    offline = OfflineFeatures(data)
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
    # A `final` fit has more cases than the `held_out` fit, but each of its phases has the same number of steps.
    dense_steps = training.dense_epochs * -(-training.planned_cases // DENSE_BATCH_SIZE)
    epoch_steps = -(-training.planned_cases // training.batch_size)
    training = replace(training, steps=training.steps or dense_steps + epoch_steps)
    config = replace(config, training=training)

    torch.manual_seed(config.seed)
    model = RANKERS[name](config, count_item_frequencies(train_cases, data), cases.tasks)
    sample = batches[evenly_spaced_rows(len(batches), QUANTILE_SAMPLE_SIZE)]
    model.fit_quantiles(sample.users, sample.candidates)
    objective = RankerObjective(model, config, dense_steps)
    chosen = CaseBatches(validation_cases.evenly_spread(VALIDATION_CASES), offline, service, features)
    held_out = [chosen[rows] for rows in row_chunks(len(chosen), training.batch_size)]
    if trees is not None and held_out:
        trees, held_out = _keep_best_trees(trees, held_out)
        config = replace(config, trees=replace(config.trees, counts=trees.counts))

    def batch_at(step: int) -> CaseBatch:
        if step < dense_steps:
            return batches.dense_only_batch(batches.training_rows(step, DENSE_BATCH_SIZE, config.seed))
        return batches[batches.training_rows(step - dense_steps, training.batch_size, config.seed)]

    def validate() -> float:
        return -float(task_losses(*predict_logits(model, held_out)) @ objective.loss_weights_T)

    stop = config.validation.early_stopping_step
    schedule = trainer.Schedule(stop or training.steps, config.validation.every, seed=config.seed)
    is_validated = stop is None and len(validation_cases) > 0
    record = trainer.fit(objective, batch_at, schedule, folder, validate if is_validated else None)
    resolved = replace(config, validation=replace(config.validation, early_stopping_step=record.steps))
    resolved = _blend_and_calibrate(model, trees, resolved, held_out)
    measures = {
        "cases": len(batches),
        "seconds": record.seconds,
        "steps": record.steps,
        "validation": record.history,
        "missing_tasks": missing_tasks(cases),
    }
    return FittedRanker(name, model.tasks, model.export(), replace(features, trees=trees), resolved, measures)


def _with_present_tracks(ranker: FittedRanker, data: TrainingData) -> FittedRanker:
    reads = ranker.features.reads
    genres = TrackGenres.build(data.facets) if reads.genres else None
    content = ContentRows.build(data.content) if reads.content else None
    features = RankingFeatures.from_vocabulary(data.vocabulary, load_track_statistics(data), reads, genres, content)
    return replace(ranker, features=replace(features, trees=ranker.features.trees))


def _prepare_training(
    cases: RankingCases, offline: OfflineFeatures, config: RankerConfig, service: str, features: RankingFeatures
) -> tuple[CaseBatches, BoostedTrees | None]:
    """Return the batches of the network, and the fitted trees."""
    network_cases, threads = config.training.cases, configure_threads()
    read_cases = max(network_cases, config.trees.cases) if config.trees.count else network_cases
    batches = CaseBatches(cases.newest_per_user(read_cases), offline, service, features)
    if config.training.dense_epochs or config.trees.count:
        batches.precompute_dense_features(threads)
    trees = None
    if config.trees.count:
        of_trees = batches.newest_per_user(config.trees.cases)
        assert of_trees.dense_RN is not None  # noqa: S101  # computed above
        trees = BoostedTrees.fit(of_trees.dense_RN, of_trees.cases.labels_RT, config.trees, config.seed, threads)
    return batches.newest_per_user(network_cases), trees


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
    model: Ranker, trees: BoostedTrees | None, config: RankerConfig, held_out: list[CaseBatch]
) -> RankerConfig:
    """Set the weights of the trees in the model, and return the config with them and with the temperatures.

    Both are fitted on the held-out cases; without cases, the config's values are kept.
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


class RankerObjective(trainer.Objective):
    """Trains a ranker: task losses plus auxiliary loss, AdamW, one-cycle learning rate.

    The embeddings of ids are trained from the step `first_id_step` on.
    """

    def __init__(self, network: Ranker, config: RankerConfig, first_id_step: int = 0) -> None:
        self.network: Ranker = network
        self.config, self.first_id_step = config, first_id_step
        self.loss_weights_T = torch.tensor([config.training.loss_weights[task] for task in network.tasks])

    def training_step(self, batch: CaseBatch, step: int) -> Tensor:
        """Return the loss of one batch; ids that are not trained get no gradient, so the optimizer skips them."""
        network = self.network
        network.embedding.set_ids_trainable(step >= self.first_id_step)
        state = network.encode_user(batch.users)
        logits_BT = network(state, batch.candidates)[:, 0] + network.position_bias(batch.position_B)
        auxiliary = self.config.training.auxiliary_weight * network.auxiliary_loss(state, batch.users)
        return task_losses(logits_BT, batch.labels_BT) @ self.loss_weights_T.to(logits_BT.device) + auxiliary

    def configure_optimizers(self) -> tuple[Optimizer, LRScheduler]:
        """Return AdamW with a one-cycle schedule over the planned steps."""
        training = self.config.training
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=training.learning_rate, weight_decay=WEIGHT_DECAY, fused=True
        )
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, training.learning_rate, total_steps=max(training.steps, 2), pct_start=0.1
        )
        return optimizer, cycle


@torch.no_grad()
def predict_logits(model: Ranker, batches: Iterable[CaseBatch]) -> tuple[Tensor, Tensor]:
    """Return the logits of the cases' tracks [N, T] and their labels [N, T]."""
    device = next(model.parameters()).device
    on_device = (trainer.to_device(batch, device) for batch in batches)
    pairs = [(model(model.encode_user(batch.users), batch.candidates)[:, 0], batch.labels_BT) for batch in on_device]
    return torch.cat([logits for logits, _ in pairs]), torch.cat([labels for _, labels in pairs])


def fit_tree_weights(model: Ranker, held_out: list[CaseBatch], trees: BoostedTrees) -> tuple[float, ...]:
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


MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 4.0


def task_losses(logits_NT: Tensor, labels_NT: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of each task [T] over its labeled cases (label not NaN); 0 without any."""
    known_NT = ~labels_NT.isnan()
    loss_NT = F.binary_cross_entropy_with_logits(logits_NT, labels_NT.nan_to_num(0.0), reduction="none")
    return (loss_NT * known_NT).sum(0) / known_NT.sum(0).clamp(min=1)


def fit_blend_weight(logit_N: Tensor, other_N: Tensor, label_N: Tensor) -> float:
    """Return the weight of `other_N`, a multiple of 0.05, that minimizes the log loss; labels may be NaN."""
    weights = torch.linspace(0, 1, 21)
    losses = [task_losses(torch.lerp(logit_N, other_N, weight)[:, None], label_N[:, None])[0] for weight in weights]
    return round(float(weights[int(torch.stack(losses).argmin())]), 2)


def fit_temperatures(logits_NT: Tensor, labels_NT: Tensor) -> tuple[float, ...]:
    """Return each task's temperature with the least log loss, within 0.25..4; 1 for a task without two classes."""
    grid = torch.logspace(
        torch.log10(torch.tensor(MIN_TEMPERATURE)), torch.log10(torch.tensor(MAX_TEMPERATURE)), 161
    ).tolist()
    losses_GT = torch.stack([task_losses(logits_NT / temperature, labels_NT) for temperature in grid])
    best_T = losses_GT.argmin(0)
    has_both_T = (labels_NT == 0).any(0) & (labels_NT == 1).any(0)
    return tuple(grid[best] if both else 1.0 for best, both in zip(best_T.tolist(), has_both_T.tolist(), strict=True))
