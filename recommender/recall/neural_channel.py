"""Base class of the neural channels: weights, vector index, saving and loading. A channel says how requests are answered."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from safetensors.numpy import save_file

from config.dataclass_io import config_from_dict
from recommender.array_types import Array, Floats, Ints, Weights
from recommender.catalog.vocabulary import Vocabulary
from recommender.nn.compiled_layers import unit_rows
from recommender.nn.vector_index import ColdStartIndex, VectorIndex, interpolate_on_sphere
from recommender.recall.channel import RecallChannel
from recommender.recall.next_item import ITEM_VECTORS, TASKS, NeuralChannelConfig
from recommender.recall.sequence_merge import interleave
from recommender.user.user_batch import UserBatch
from storage.files import write_json
from storage.tensors import map_tensors

CATALOG_FILE = "catalog.npy"

NeuralConfig = TypeVar("NeuralConfig", bound=NeuralChannelConfig)


class NeuralChannel(RecallChannel[NeuralConfig]):
    """Channel that searches an index of item vectors with queries from a trained network, without PyTorch.

    Cold items (no training events, but content) are always searched exactly, and are returned only above a score threshold.

    Args:
        config: Resolved config.
        weights: What `RecallNetwork.export` returned.
        catalog: Items that may be candidates, ascending.
        vocabulary: Names and codes of tracks and artists.
        metadata: What else a channel stores with its config as JSON.
    """

    config_class: ClassVar[type[NeuralChannelConfig]]
    program_class: ClassVar[Any]
    """Answers single requests; constructed with the config and the weights."""

    def __init__(
        self,
        config: NeuralConfig,
        weights: Weights,
        catalog: np.ndarray,
        vocabulary: Vocabulary,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.resolved_config = config
        self.catalog, self.vocabulary, self.metadata = catalog, vocabulary, metadata or {}
        self.set_weights(weights)

    def set_weights(self, weights: Weights) -> None:
        """Answer with these weights from now on."""
        self.weights = weights
        self.rebuild_index()

    def item_codes(self, name: str) -> Array | None:
        """An array of the `ItemCodes` of the network; None if it has none of the name."""
        return next((array for own, array in self.weights.items() if own.endswith(f"items.codes.{name}")), None)

    @abstractmethod
    def encode_queries(self, users: UserBatch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Rows of the requests that have a query, and by task the queries [B, Q, D] of these requests."""

    def item_vectors(self, items: Sequence[int] | Ints) -> Floats:
        """Unit-length vectors [N, D] of items."""
        return unit_rows(self.weights[ITEM_VECTORS][np.asarray(items, dtype=np.int64)])

    def search_tasks(self, users: UserBatch, k: int, share: float) -> Ints:
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
            history_RH = users.history_items_BH[rows]
            excluded = {"next": np.zeros_like(history_RH), "new": history_RH}
            tasks = [task for task, part in zip(TASKS, (1 - share, share), strict=True) if part > 0]
            query_XQD, exclude_XH = (np.concatenate([by_task[task] for task in tasks]) for by_task in (query, excluded))
            threshold_X = np.repeat([self.cold_item_threshold(task) for task in tasks], len(rows))
            found_XK, _ = self.index.search(query_XQD, k, exclude_XH, threshold_X)
            found, none_RK = dict(zip(tasks, np.split(found_XK, len(tasks)), strict=True)), items_BK[rows, :0]
            items_BK[rows] = interleave(found.get("next", none_RK), found.get("new", none_RK), share, k)
        return items_BK

    def rebuild_index(self) -> None:
        """Index the item vectors of the current weights, and compile `program` from them."""
        self.program = self.program_class(self.resolved_config, self.weights)
        is_cold_V = self.item_codes("is_cold_V")
        is_cold_N = np.zeros(len(self.catalog), dtype=bool) if is_cold_V is None else is_cold_V[self.catalog]
        warm, cold = self.catalog[~is_cold_N], self.catalog[is_cold_N]
        exact_up_to = self.resolved_config.index.exact_up_to
        self.index = ColdStartIndex(self._build_index(warm, exact_up_to), self._build_index(cold, None))

    def cold_item_threshold(self, task: str) -> float:
        """Minimum score of a cold item for the task; infinity if no cold item may be returned."""
        return (self.resolved_config.index.cold_item_thresholds or {}).get(task, np.inf)

    def nearest_items(self, items: np.ndarray, k: int) -> Ints:
        """The `k` items whose vectors are nearest to the mean vector of `items`, without these, [1, K].

        Cold items are left out: their thresholds are computed for users' queries and do not apply to item vectors.
        """
        vector_1D = self.item_vectors(items).mean(0, keepdims=True)
        return self.index.search(vector_1D[:, None], k, items[None, :])[0]

    def items_between(self, first: int, last: int, points: int, k: int) -> Ints:
        """The items nearest to `points` points on the arc between the vectors of two items, and these two items, [1, N].

        Cold items are left out, as in `nearest_items`.

        Args:
            first: Item at the beginning, the first of the result.
            last: Item at the end, the last of the result.
            points: Number of points, evenly spaced, without the ends.
            k: Number of items per point.
        """
        ends = np.array([first, last], dtype=np.int64)
        first_D, last_D = self.item_vectors(ends)
        point_PD = interpolate_on_sphere(first_D, last_D, points + 2)[1:-1]
        found = np.zeros(0, dtype=np.int64)
        if points:
            found_PK, _ = self.index.search(point_PD[:, None].astype(np.float32), k, np.tile(ends, (points, 1)))
            found = np.setdiff1d(found_PK, [0, first, last])
        return np.concatenate([ends[:1], found, ends[1:]])[None, :]

    def save(self, folder: Path) -> None:
        """Write config and metadata as JSON, weights as safetensors, the catalog as one array."""
        write_json(folder / f"{self.name}.json", {"config": asdict(self.resolved_config), "metadata": self.metadata})
        save_file(dict(self.weights), folder / f"{self.name}.safetensors")
        np.save(folder / CATALOG_FILE, self.catalog, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""
        stored = json.loads((folder / f"{cls.name}.json").read_text())
        config: Any = config_from_dict(cls.config_class, stored["config"])
        weights = map_tensors(folder / f"{cls.name}.safetensors")
        catalog = np.load(folder / CATALOG_FILE, allow_pickle=False)
        return cls(config, weights, catalog, vocabulary, stored["metadata"])

    def _build_index(self, items: Ints, exact_up_to: int | None) -> VectorIndex:
        return VectorIndex.of(items, self.item_vectors(items), exact_up_to)
