"""Fit of the neural channels: training with early stopping by validation recall, then thresholds and shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from config.dataclass_io import change_config
from content import FACETS
from recommender.catalog.arrays import Ragged
from recommender.recall.neural_channel import NeuralChannel
from recommender.recall.next_item import TASKS, NeuralChannelConfig
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import FIRST_CODE
from training import trainer
from training.data.offline_features import load_user_batches
from training.data.recall_cases import RecallCases, recall_table, validation_objective
from training.data.training_data import TrainingData
from training.networks.item_tower import MAX_FACET_VALUES, RARE_ROW, ItemCodes
from training.networks.next_item import RecallNetwork
from training.process import configure_threads
from training.recall.windows import ChannelObjective

CASE_KIND_BY_TASK = {"next": "targets", "new": "discovery"}
"""Kind of targets that each task should find."""

Config = TypeVar("Config", bound=NeuralChannelConfig)
Channel = TypeVar("Channel", bound=NeuralChannel[Any])
Network = TypeVar("Network", bound=RecallNetwork)


def limit_steps(config: Config, source: Any) -> Config:
    """The config with a shorter schedule, validated as often, if all of its steps would pass over a small log too many times."""
    optimizer = config.optimizer
    if optimizer.max_passes is None:
        return config
    limit = source.steps(optimizer.max_passes, config.sampling.batch)
    if not 0 < limit < optimizer.steps:
        return config
    share = limit / optimizer.steps
    return change_config(
        config,
        {
            "optimizer.steps": limit,
            "optimizer.warmup": math.ceil(share * optimizer.warmup),
            "validation.validate_every": math.ceil(share * config.validation.validate_every),
        },
    )


@dataclass(frozen=True)
class ValidationSet:
    """Validation cases with their requests."""

    cases: RecallCases
    batches: Sequence[UserBatch]
    cutoffs: tuple[int, int]

    def recall_table(self, lists: Sequence[np.ndarray]) -> dict[str, float]:
        """Recall at the cutoffs by part (see `recall_table`) of the items of each batch, best first."""
        return recall_table(np.concatenate(lists), self.cases, self.cutoffs)


def fit_network(
    kind: type[Channel],
    network_class: Callable[[Any, ItemCodes], Network],
    data: TrainingData,
    config: Any,
    folder: Path,
    examples: Any,
    objective: Callable[[Network, Any], ChannelObjective],
    *,
    metadata: dict[str, Any] | None = None,
    tune: Callable[[Channel, ValidationSet | None], dict[str, Any]] | None = None,
) -> Channel:
    """Train a channel, stop early by validation recall (or at the given step), then tune thresholds and shares.

    Args:
        kind: The channel.
        network_class: Its network, constructed with the config and the item codes.
        data: Training data of one fit.
        config: Config of a recipe, or a resolved config.
        folder: Folder of checkpoints.
        examples: The training examples: `len`, `count_V` (number of events of each track) and `steps(passes, batch)`: the steps
            of `batch` examples that read `passes` times as many as there are.
        objective: Makes the loss of the network for the config.
        metadata: JSON values that the channel needs besides the config.
        tune: Chooses the remaining hyperparameters with the final weights; sets `resolved_config` and returns entries for
            `measures`. Its validation set is None if the fit chooses nothing.
    """
    configure_threads()
    torch.manual_seed(config.seed)
    config = limit_steps(config, examples)
    network = network_class(config, build_item_codes(data, examples.count_V, config.items.min_plays)).eval()
    channel = kind(config, network.export(), np.flatnonzero(data.catalog_V), data.vocabulary, metadata)
    if not len(examples) or not data.catalog_V.any():
        return channel
    loss, stopping = objective(network, config), config.validation
    cases = data.recall_cases("validation").sample(stopping.cases_per_user, config.seed)
    is_early_stopped = stopping.early_stopping_step is None and len(cases) > 0
    needs_thresholds = (
        network.items.codes.is_cold_V is not None and config.index.cold_item_thresholds is None and len(cases) > 0
    )
    batches = load_user_batches(data, cases, kind.feature_service) if is_early_stopped or needs_thresholds else []
    validation = ValidationSet(cases, batches, stopping.eval_cutoffs) if is_early_stopped else None
    record, table = _train(channel, network, loss, validation, folder)
    channel.resolved_config = change_config(config, {"validation.early_stopping_step": record.steps})
    if needs_thresholds:
        thresholds = _cold_item_thresholds(channel, network, cases, batches)
        channel.resolved_config = change_config(channel.resolved_config, {"index.cold_item_thresholds": thresholds})
    channel.measures = asdict(record) | {"validation": table} | (tune(channel, validation) if tune else {})
    channel.rebuild_index()
    return channel


def _train(
    channel: NeuralChannel[Any],
    network: RecallNetwork,
    objective: ChannelObjective,
    validation: ValidationSet | None,
    folder: Path,
) -> tuple[trainer.FitRecord, dict[str, float]]:
    """Train the network of a channel; both keep the weights of the best step.

    Args:
        channel: The channel, whose config has the number of steps.
        network: Its network with the initial weights.
        objective: Its loss.
        validation: Requests for early stopping; None: all steps, or `early_stopping_step` of them.
        folder: Folder of checkpoints.

    Returns:
        Record of the fit, and the validation metrics of the best step; empty without validation.
    """
    tables: dict[float | None, dict[str, float]] = {}
    config = channel.resolved_config
    stopping, steps = config.validation, config.optimizer.steps

    def measure() -> dict[str, float]:
        assert validation is not None  # noqa: S101  # only called if there is one
        channel.set_weights(network.export())
        k = max(validation.cutoffs)
        return validation.recall_table([channel.recall(users, k) for users in validation.batches])

    def validate() -> float:
        table = measure()
        value = validation_objective(table, stopping.eval_cutoffs)
        tables.setdefault(value, table)
        return value

    schedule = trainer.Schedule(
        stopping.early_stopping_step or steps,
        min(stopping.validate_every, steps),
        stopping.patience,
        seed=config.seed,
    )
    network.train()
    record = trainer.fit(
        objective,
        objective.batch_at,
        schedule,
        folder,
        None if validation is None else validate,
        mixed_precision=True,
    )
    network.eval()
    channel.set_weights(network.export())
    if record.value is None:
        return record, {}
    return record, tables.get(record.value) or measure()  # a killed process may have validated the best step


def _cold_item_thresholds(
    channel: NeuralChannel[Any], network: RecallNetwork, cases: RecallCases, batches: Sequence[UserBatch]
) -> dict[str, float]:
    """Threshold of each task: a quantile of the scores of its positives, taken as cold items; none without positives.

    Args:
        channel: The channel.
        network: Its network.
        cases: Validation cases.
        batches: Their requests, from `load_user_batches`.
    """
    scores: dict[str, list[np.ndarray]] = {task: [] for task in TASKS}
    for chunk, users in zip(cases.chunks(), batches, strict=True):
        has_query, by_task = channel.encode_queries(users)
        for task, query_BQD in by_task.items():
            targets = chunk.items[CASE_KIND_BY_TASK[task]].take(has_query)
            scores[task].append(score_positives_as_cold(query_BQD, targets, network.vectors, network.items.codes))
    joined = {task: np.concatenate(parts) for task, parts in scores.items() if parts}
    quantile = channel.resolved_config.index.cold_item_quantile
    return {task: float(np.quantile(values, quantile)) for task, values in joined.items() if len(values)}


@torch.no_grad()
def score_positives_as_cold(
    query_BQD: np.ndarray, targets: Ragged, vectors: Callable[[Tensor, bool], Tensor], codes: ItemCodes
) -> np.ndarray:
    """Score that each target with content would have as a cold item, by the best query of its request."""
    has_content = cast(Tensor, codes.content_V).numpy()[targets.items] > 0
    item_T = torch.from_numpy(targets.items[has_content])
    query_TQD = torch.as_tensor(query_BQD)[torch.from_numpy(targets.case_per_item[has_content])]
    score_TQ = (query_TQD @ vectors(item_T, True)[..., None]).squeeze(-1)
    return score_TQ.amax(1).numpy() if len(item_T) else np.zeros(0, dtype=np.float32)


def build_item_codes(data: TrainingData, count_V: np.ndarray, min_plays: int) -> ItemCodes:
    """Codes of the vocabulary's tracks. Only tracks with texts or vectors besides their names have content.

    Args:
        data: Training data.
        count_V: Number of events of each track in the training data.
        min_plays: Smallest count of a track or artist with its own embedding.
    """
    vocabulary = data.vocabulary
    artist_V = vocabulary.artist_of_track_V
    count_A = np.bincount(artist_V, weights=count_V, minlength=vocabulary.artist_count)
    artist_row_A = _embedding_rows(count_A, min_plays)
    if not (artist_V >= FIRST_CODE).any():
        # If all artists are unknown, a shared vector would only make all tracks more similar.
        artist_row_A[:] = 0
    arrays = [_embedding_rows(count_V, min_plays), artist_row_A[artist_V], _facet_rows(data)]
    content, is_used_V = data.content, data.content.has_descriptive_content_V
    if is_used_V.any():
        content_V = np.where(is_used_V, is_used_V.cumsum(), 0)
        content_RW = np.pad(content.row_VW[is_used_V], ((1, 0), (0, 0)))
        is_cold_V = (count_V == 0) & (np.arange(len(count_V)) >= FIRST_CODE)
        arrays += [content_V.astype(np.int64), content_RW, is_cold_V, content.block_W]
    return ItemCodes(*(torch.from_numpy(array) for array in arrays))


def _embedding_rows(counts: np.ndarray, min_count: int) -> np.ndarray:
    """Row of each code: 0 for padding, RARE_ROW below `min_count`, then 2.. in order."""
    is_own = counts >= min_count
    is_own[:2] = False
    rows = np.where(is_own, np.cumsum(is_own) + RARE_ROW, RARE_ROW)
    rows[0] = 0
    return rows.astype(np.int64)


def _facet_rows(data: TrainingData) -> np.ndarray:
    """Embedding rows of every track's facet values [V, F], facet after facet; 0: none."""
    columns, first = [np.zeros((len(data.vocabulary), 0), dtype=np.int64)], 1
    for values, lists in (data.facets[facet] for facet in FACETS):
        count_V = np.minimum(lists.count_C, MAX_FACET_VALUES)
        rows_VF = np.zeros((len(count_V), int(count_V.max(initial=0))), dtype=np.int64)
        for column in range(rows_VF.shape[1]):
            has = count_V > column
            rows_VF[has, column] = lists.items[lists.offset_C1[:-1][has] + column] + first
        columns.append(rows_VF)
        first += len(values)
    return np.concatenate(columns, axis=1)
