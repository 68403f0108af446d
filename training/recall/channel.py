"""What every recall channel promises: from what is known of a user, K tracks they may want next.

Legend: B requests, K candidates. Knows nothing about fusion or HTTP.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch
from training.data.vocabulary import Vocabulary
from training.recall.reason import Reason


@dataclass(frozen=True)
class Candidates:
    """K items a request, best first; `items_BK` int64 with 0 = none (at the end of a row), `scores_BK` float32, -inf
    where none.

    Scores order one channel's row; they are not comparable between channels.
    """

    items_BK: np.ndarray
    scores_BK: np.ndarray

    @classmethod
    def pad_or_truncate(cls, items_BK: np.ndarray, scores_BK: np.ndarray, k: int) -> Candidates:
        """Exactly `k` columns: cut, or filled with none; an item scored -inf counts as none."""
        items = np.zeros((len(items_BK), k), dtype=np.int64)
        scores = np.full((len(items_BK), k), -np.inf, dtype=np.float32)
        width = min(k, items_BK.shape[1])
        items[:, :width], scores[:, :width] = items_BK[:, :width], scores_BK[:, :width]
        items[np.isneginf(scores)] = 0
        scores[items == 0] = -np.inf
        return cls(items, scores)

    @classmethod
    def from_ranking(cls, items_BK: np.ndarray) -> Candidates:
        """Of K items best first, 0 where none: an item's score is how many come before it, negated."""
        rank_K = -np.arange(items_BK.shape[1], dtype=np.float32)
        return cls(items_BK, np.where(items_BK > 0, rank_K, np.float32(-np.inf)))

    def filter_by_mask(self, is_kept_BK: np.ndarray) -> Candidates:
        """Those that are kept, in their order; behind them none."""
        order_BK = np.argsort(~is_kept_BK, axis=1, kind="stable")
        items_BK = np.where(is_kept_BK, self.items_BK, 0)
        scores_BK = np.where(items_BK > 0, self.scores_BK, np.float32(-np.inf))
        return Candidates(*(np.take_along_axis(values_BK, order_BK, axis=1) for values_BK in (items_BK, scores_BK)))


class CandidateSource(ABC):
    """Whatever gives candidates for a user: tracks by item, or playlists or mlogs by number."""

    name: ClassVar[str]
    feature_service: ClassVar[str]

    resolved_config: Any
    """The config with everything that the fit chose on validation filled in (decay, steps …). `training.train` writes it beside the
    model, and the `final` fit is given it instead of `config(recipe)`: it chooses nothing any more."""

    @abstractmethod
    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` best items for each request."""

    @abstractmethod
    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """Why each of `items` was found for the single request `user`, in order."""

    def measures(self) -> dict[str, Any]:
        """What the fit is worth knowing by: steps, chosen numbers, validation recall."""
        return {}


class RecallChannel(CandidateSource):
    """One way to find tracks. A new one is a file with a subclass and a line in `training.recall.CHANNELS`.

    Promises, held by the conformance suite: candidates are in the catalogue or were
    heard by the user before, none twice in a row, padding at the end,
    the same answer for the same request whatever else is in the batch and after save and load, an answer (perhaps an
    empty one) for a user with no history or unknown tracks, and no influence of anything known at or after the
    request.
    """

    seed_independent_fields: ClassVar[tuple[str, ...]] = ()
    """Which of the numbers that a fit chooses it would choose alike with another seed, and takes long to."""

    @classmethod
    @abstractmethod
    def config(cls, recipe: str) -> Any:
        """The frozen dataclass of this channel's numbers for a recipe. `sequences`, for plain sequences of items, may be
        the same as `small`.
        """

    @classmethod
    @abstractmethod
    def fit(cls, data: TrainingData, config: Any, folder: Path) -> Self:
        """Learn from the `train` part of `data`, choose on its `validation` part where it has one.

        `folder` is for checkpoints: a killed fit that is started again with the same arguments goes on from there and
        ends the same.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `load` needs (JSON, Parquet, safetensors)."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """What `save` wrote."""

    def similar_items(self, item: int, k: int) -> Candidates:
        """The `k` items most like `item`, itself left out, [1, K]; none from a channel that only knows users."""
        del item
        return Candidates.pad_or_truncate(np.zeros((1, 0), dtype=np.int64), np.zeros((1, 0), dtype=np.float32), k)
