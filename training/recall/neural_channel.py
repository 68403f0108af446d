"""Base class of the neural channels: training, validation, early stopping, vector index, saving and loading.

A channel provides its network, its training data, its training module (objective) and how requests are answered.
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from training.data.recall_cases import RecallCases, iterate_chunks, recall_table, validation_objective
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch, load_user_batches
from training.data.vocabulary import Vocabulary
from training.engine import trainer
from training.engine.config_io import change_config, config_from_dict
from training.engine.process import configure_threads
from training.engine.workspace import write_json
from training.nn.compiled_layers import unit_rows
from training.nn.item_tower import ItemCodes
from training.nn.vector_index import ColdStartIndex, VectorIndex, interpolate_on_sphere, score_positives_as_cold
from training.recall.channel import Candidates, RecallChannel
from training.recall.next_item_network import TASKS, NeuralChannelConfig
from training.recall.sequence_merge import interleave
from training.recall.windows import ChannelObjective, WindowSampler

if TYPE_CHECKING:
    from training.recall.long_short.data import SessionSampler

ITEMS_PER_CHUNK = 65_536
CATALOG_FILE = "catalogue.npy"
CASE_KIND_BY_TASK = {"next": "targets", "new": "discovery"}
"""Kind of targets that each task should find."""

NeuralConfig = TypeVar("NeuralConfig", bound=NeuralChannelConfig)


def limit_steps(config: NeuralConfig, source: WindowSampler | SessionSampler) -> NeuralConfig:
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
class ItemsBetween(Candidates):
    """Items [1, N] between the first and the last of them, with their unit-length vectors [N, D]."""

    vector_ND: np.ndarray


@dataclass(frozen=True)
class ValidationSet:
    """Validation cases with their requests."""

    cases: RecallCases
    batches: Sequence[UserBatch]
    cutoffs: tuple[int, int]

    def recall_table(self, lists: Sequence[np.ndarray]) -> dict[str, float]:
        """Recall at the cutoffs by part (see `recall_table`) of the items of each batch, best first."""
        return recall_table(np.concatenate(lists), self.cases, self.cutoffs)

    def objective(self, table: dict[str, float]) -> float:
        """The value that early stopping and tuning maximize."""
        return validation_objective(table, self.cutoffs)


class NeuralChannel(RecallChannel[NeuralConfig]):
    """Channel that searches an index of item vectors with queries from a network.

    Cold items (no training events, but content) are always searched exactly, and are returned only above a score threshold.

    Args:
        config: Resolved config.
        network: The network; it is put into evaluation mode.
        catalog: Items that may be candidates, ascending.
        vocabulary: Names and codes of tracks and artists.
        metadata: What else a channel stores with its config as JSON; see `build_metadata`.
    """

    config_class: ClassVar[type[NeuralChannelConfig]]
    network_class: ClassVar[Any]
    """Subclass of `RecallNetwork`, constructed with the config and the item codes."""

    def __init__(
        self,
        config: NeuralConfig,
        network: Any,
        catalog: np.ndarray,
        vocabulary: Vocabulary,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.resolved_config = config
        self.network = network.eval()
        self.catalog, self.vocabulary, self.metadata = catalog, vocabulary, metadata or {}
        self.is_loaded = False
        """Whether the weights are final, so that results of the network may be cached per request."""
        self.rebuild_index()

    @classmethod
    @abstractmethod
    def build_data(cls, data: TrainingData, config: NeuralConfig) -> WindowSampler | SessionSampler:
        """The training examples."""

    @abstractmethod
    def build_objective(self, source: Any, config: NeuralConfig, is_item_V: np.ndarray) -> ChannelObjective:
        """The loss that `network` is trained with."""

    @abstractmethod
    def encode_queries(self, users: UserBatch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Rows of the requests that have a query, and by task the queries [B, Q, D] of these requests."""

    def item_vectors(self, items: Sequence[int] | np.ndarray) -> np.ndarray:
        """Unit-length vectors [N, D] of items."""
        return unit_rows(self.program.items.rows(np.asarray(items, dtype=np.int64)))

    def search_tasks(self, users: UserBatch, k: int, share: float) -> Candidates:
        """`k` items by the queries of both tasks, `share` of them new to the user; none for a request without a query.

        The history is excluded from the task `new` only.

        Args:
            users: The requests.
            k: Number of items.
            share: Fraction of items by the task `new`.
        """
        items_BK = np.zeros((len(users), k), dtype=np.int64)
        rows, query = self.encode_queries(users)
        if len(rows):
            excluded = {"next": None, "new": users.history_items_BH[rows]}
            next_RK, new_RK = (
                self.index.search(query[task], k, excluded[task], self.cold_item_threshold(task))[0]
                if part > 0
                else items_BK[rows, :0]
                for task, part in zip(TASKS, (1 - share, share), strict=True)
            )
            items_BK[rows] = interleave(next_RK, new_RK, share, k)
        return Candidates.from_ranking(items_BK)

    @classmethod
    def build_metadata(cls, data: TrainingData) -> dict[str, Any]:
        """JSON values that the constructor needs besides the config; stored by `save`."""
        del data
        return {}

    def prepare_network(self, source: Any, config: NeuralConfig) -> None:
        """Initialize statistics of the network from training examples, before training."""

    def tune_after_training(self, validation: ValidationSet | None) -> dict[str, Any]:
        """Choose the remaining hyperparameters with the final weights; set `resolved_config`.

        Returns:
            Entries for `measures`. `validation` is None if the fit chooses nothing.
        """
        del validation
        return {}

    @classmethod
    def fit(cls, data: TrainingData, config: NeuralConfig, folder: Path) -> Self:
        """Train, stop early by validation recall (or at the given step), then tune thresholds and shares."""
        configure_threads()
        torch.manual_seed(config.seed)
        source = cls.build_data(data, config)
        config = limit_steps(config, source)
        network = cls.network_class(config, ItemCodes.of(data, source.count_V, config.items.min_plays))
        channel = cls(config, network, np.flatnonzero(data.catalog_V), data.vocabulary, cls.build_metadata(data))
        if not len(source) or not data.catalog_V.any():
            return channel
        channel.prepare_network(source, config)
        stopping = config.validation
        cases = data.recall_cases("validation").sample(stopping.cases_per_user, config.seed)
        is_early_stopped = stopping.early_stopping_step is None and len(cases) > 0
        needs_thresholds = (
            channel.item_codes.is_cold_V is not None and config.index.cold_item_thresholds is None and len(cases) > 0
        )
        batches = load_user_batches(data, cases, cls.feature_service) if is_early_stopped or needs_thresholds else []
        validation = ValidationSet(cases, batches, stopping.eval_cutoffs) if is_early_stopped else None
        record, table = channel._train(source, config, data.catalog_V, validation, folder)
        channel.resolved_config = change_config(config, {"validation.early_stopping_step": record.steps})
        if needs_thresholds:
            thresholds = channel._compute_cold_item_thresholds(cases, batches)
            channel.resolved_config = change_config(channel.resolved_config, {"index.cold_item_thresholds": thresholds})
        channel.measures = asdict(record) | {"validation": table} | channel.tune_after_training(validation)
        channel.rebuild_index()
        return channel

    def _train(
        self,
        source: Any,
        config: NeuralConfig,
        is_item_V: np.ndarray,
        validation: ValidationSet | None,
        folder: Path,
    ) -> tuple[trainer.FitRecord, dict[str, float]]:
        """Train the network, which keeps the weights of the best step.

        Args:
            source: Training examples.
            config: Config with the number of steps; `network` has the initial weights.
            is_item_V: Tracks that may be candidates.
            validation: Requests for early stopping; None: all steps, or those of `early_stopping_step`.
            folder: Folder of checkpoints.

        Returns:
            Record of the fit, and the validation metrics of the best step; empty without validation.
        """
        tables: dict[float | None, dict[str, float]] = {}

        def measure() -> dict[str, float]:
            assert validation is not None  # noqa: S101  # only called if there is one
            self.rebuild_index()
            k = max(validation.cutoffs)
            return validation.recall_table([self.recall(users, k).items_BK for users in validation.batches])

        def validate() -> float:
            table = measure()
            value = validation_objective(table, stopping.eval_cutoffs)
            tables.setdefault(value, table)
            return value

        stopping, steps = config.validation, config.optimizer.steps
        schedule = trainer.Schedule(
            stopping.early_stopping_step or steps,
            min(stopping.validate_every, steps),
            stopping.patience,
            seed=config.seed,
        )
        self.network.train()
        objective = self.build_objective(source, config, is_item_V)
        record = trainer.fit(
            objective,
            objective.batch_at,
            schedule,
            folder,
            None if validation is None else validate,
            mixed_precision=True,
        )
        self.network.eval()
        if record.value is None:
            return record, {}
        return record, tables.get(record.value) or measure()  # a killed process may have validated the best step

    @property
    def item_codes(self) -> ItemCodes:
        """See `RecallNetwork`."""
        codes: ItemCodes = self.network.item_codes
        return codes

    def vectors(self, items: torch.Tensor, as_cold: bool = False) -> torch.Tensor:
        """See `RecallNetwork`."""
        vectors: torch.Tensor = self.network.vectors(items, as_cold)
        return vectors

    def rebuild_index(self) -> None:
        """Index the item vectors of the current weights, and compile `program` from them."""
        self.program = self.network.program()
        is_cold_V = self.item_codes.is_cold_V
        is_cold_N = np.zeros(len(self.catalog), dtype=bool) if is_cold_V is None else is_cold_V.numpy()[self.catalog]
        warm, cold = self.catalog[~is_cold_N], self.catalog[is_cold_N]
        exact_up_to = self.resolved_config.index.exact_up_to
        self.index = ColdStartIndex(self._build_index(warm, exact_up_to), self._build_index(cold, None))

    def _compute_cold_item_thresholds(self, cases: RecallCases, batches: Sequence[UserBatch]) -> dict[str, float]:
        """Threshold of each task: a quantile of the scores of its positives, taken as cold items; none without positives.

        Args:
            cases: Validation cases.
            batches: Their requests, from `load_user_batches`.
        """
        scores: dict[str, list[np.ndarray]] = {task: [] for task in TASKS}
        for rows, users in zip(iterate_chunks(len(cases)), batches, strict=True):
            has_query, by_task = self.encode_queries(users)
            chunk = cases.take(rows[has_query])
            for task, query_BQD in by_task.items():
                targets = chunk.items[CASE_KIND_BY_TASK[task]]
                scores[task].append(score_positives_as_cold(query_BQD, targets, self.vectors, self.item_codes))
        joined = {task: np.concatenate(parts) for task, parts in scores.items() if parts}
        quantile = self.resolved_config.index.cold_item_quantile
        return {task: float(np.quantile(values, quantile)) for task, values in joined.items() if len(values)}

    def cold_item_threshold(self, task: str) -> float:
        """Minimum score of a cold item for the task; infinity if no cold item may be returned."""
        return (self.resolved_config.index.cold_item_thresholds or {}).get(task, np.inf)

    @torch.no_grad()
    def nearest_items(self, items: np.ndarray, k: int) -> Candidates:
        """The `k` items whose vectors are nearest to the mean vector of `items`, without these, [1, K].

        Cold items are left out: their thresholds are computed for users' queries and do not apply to item vectors.
        """
        vector_1D = self.vectors(torch.from_numpy(items)).mean(0, keepdim=True).numpy()
        return Candidates.pad_or_truncate(*self.index.search(vector_1D[:, None], k, items[None, :]), k)

    @torch.no_grad()
    def items_between(self, first: int, last: int, points: int, k: int) -> ItemsBetween:
        """The items nearest to `points` points on the arc between the vectors of two items, and these two items.

        Cold items are left out, as in `nearest_items`.

        Args:
            first: Item at the beginning, the first of the result.
            last: Item at the end, the last of the result.
            points: Number of points, evenly spaced, without the ends.
            k: Number of items per point.
        """
        end_2D = self.vectors(torch.tensor([first, last])).numpy().astype(np.float32)
        point_PD = interpolate_on_sphere(end_2D[0], end_2D[1], points + 2)[1:-1]
        ends = np.array([first, last], dtype=np.int64)
        found = np.zeros(0, dtype=np.int64)
        if points:
            found_PK, _ = self.index.search(point_PD[:, None].astype(np.float32), k, np.tile(ends, (points, 1)))
            found = np.setdiff1d(found_PK, [0, first, last])
        items_N = np.concatenate([ends[:1], found, ends[1:]])
        vector_ND = self.vectors(torch.from_numpy(items_N)).numpy().astype(np.float32)
        candidates = Candidates.from_ranking(items_N[None, :])
        return ItemsBetween(candidates.items_BK, candidates.scores_BK, vector_ND)

    def save(self, folder: Path) -> None:
        """Write config and metadata as JSON, weights and item codes as safetensors, the catalog as one array."""
        write_json(folder / f"{self.name}.json", {"config": asdict(self.resolved_config), "metadata": self.metadata})
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(tensors, folder / f"{self.name}.safetensors")
        np.save(folder / CATALOG_FILE, self.catalog, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""
        stored = json.loads((folder / f"{cls.name}.json").read_text())
        config: Any = config_from_dict(cls.config_class, stored["config"])
        tensors = load_file(folder / f"{cls.name}.safetensors")
        network = cls.network_class(config, ItemCodes.from_state_dict(tensors, cls.network_class.item_codes_prefix))
        network.load_state_dict(tensors, assign=True)
        network.eval().precompute_items()
        catalog = np.load(folder / CATALOG_FILE, allow_pickle=False)
        channel = cls(config, network, catalog, vocabulary, stored["metadata"])
        channel.is_loaded = True
        return channel

    @torch.no_grad()
    def _build_index(self, items: np.ndarray, exact_up_to: int | None) -> VectorIndex:
        chunks = torch.from_numpy(items).split(ITEMS_PER_CHUNK) if len(items) else ()
        vectors = [self.vectors(chunk) for chunk in chunks] or [torch.zeros(0, self.resolved_config.items.width)]
        return VectorIndex.of(items, torch.cat(vectors), exact_up_to)
