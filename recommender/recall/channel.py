"""Interface of recall channels: `k` candidate items for each request.

Legend: B requests, K candidates. Independent of fusion and HTTP.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

import numpy as np

from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.play_archive import PlayArchive
from recommender.recall.reason import Reason
from recommender.user.user_batch import UserBatch

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from typing_extensions import TypeVar

    # With a default, code that does not read the config can write `RecallChannel` without a parameter.
    Config = TypeVar("Config", bound=DataclassInstance, default=Any)
else:
    from typing import TypeVar

    Config = TypeVar("Config")


REPEAT_CHANNELS = ("favorites",)
"""Channels that propose only tracks that the user has played, also those before the first event of the history view."""


@dataclass(frozen=True)
class Candidates:
    """Up to K items per request, best first.

    `items_BK`: int64, 0 = no item (only at the end of a row). `scores_BK`: float32, -inf where there is no item. Scores
    order one row of one channel; they are not comparable between channels.
    """

    items_BK: np.ndarray
    scores_BK: np.ndarray

    @classmethod
    def pad_or_truncate(cls, items_BK: np.ndarray, scores_BK: np.ndarray, k: int) -> Candidates:
        """Exactly `k` columns, truncated or padded; an item with score -inf is removed."""
        items = np.zeros((len(items_BK), k), dtype=np.int64)
        scores = np.full((len(items_BK), k), -np.inf, dtype=np.float32)
        width = min(k, items_BK.shape[1])
        items[:, :width], scores[:, :width] = items_BK[:, :width], scores_BK[:, :width]
        items[np.isneginf(scores)] = 0
        scores[items == 0] = -np.inf
        return cls(items, scores)

    def first(self, k: int) -> Candidates:
        """The best `k` candidates of each request."""
        return Candidates(self.items_BK[:, :k], self.scores_BK[:, :k])

    def take(self, rows: np.ndarray) -> Candidates:
        """The candidates of some requests."""
        return Candidates(self.items_BK[rows], self.scores_BK[rows])

    @classmethod
    def empty(cls, k: int) -> Candidates:
        """No candidates for one request, [1, K]."""
        return cls.pad_or_truncate(np.zeros((1, 0), dtype=np.int64), np.zeros((1, 0), dtype=np.float32), k)

    @classmethod
    def from_ranking(cls, items_BK: np.ndarray) -> Candidates:
        """Candidates from items in rank order, 0 = no item; the score of an item is its negated rank, from 0."""
        rank_K = -np.arange(items_BK.shape[1], dtype=np.float32)
        return cls(items_BK, np.where(items_BK > 0, rank_K, np.float32(-np.inf)))

    def filter_by_mask(self, is_kept_BK: np.ndarray) -> Candidates:
        """The candidates where the mask is true, in their order, padded at the end to the same K."""
        order_BK = np.argsort(~is_kept_BK, axis=1, kind="stable")
        items_BK = np.where(is_kept_BK, self.items_BK, 0)
        scores_BK = np.where(items_BK > 0, self.scores_BK, np.float32(-np.inf))
        return Candidates(*(np.take_along_axis(values_BK, order_BK, axis=1) for values_BK in (items_BK, scores_BK)))


class CandidateSource(ABC, Generic[Config]):
    """Source of candidates for a user: tracks by item code, or collections (playlists, mlogs) by number."""

    name: ClassVar[str]
    config_class: ClassVar[type[Any]]
    feature_service: ClassVar[str]
    """Name of the Feast feature service whose views `recall` reads."""

    resolved_config: Config
    """The config with all values that the fit chose on validation (decay, steps …) filled in.

    `training.train` stores it beside the model. The `final` fit gets it instead of `config(recipe)` and chooses
    nothing.
    """

    measures: Mapping[str, Any] = {}
    """Results of the fit for reports: steps, tuned values, validation recall; JSON-serializable."""

    @abstractmethod
    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` best items for each request."""

    @abstractmethod
    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """Why each of `items` was retrieved for the single request `user`, in order."""


class RecallChannel(CandidateSource[Config]):
    """One way to retrieve tracks. To add one, write a file with a subclass and add a line to
    `recommender.recall.registry.CHANNELS`.

    The conformance suite (`tests/contract/recommender/test_channel_conformance.py`) checks these guarantees:

    - Candidates are in the catalog or in the user's history, without duplicates, with padding at the end of a row.
    - The result depends on the request only: not on the rest of the batch, nor on whether the channel was saved and
      loaded, nor on anything known at or after the request time.
    - Users without a history and unknown tracks give a result (possibly empty), not an error.
    """

    def store_past_plays(self, plays: PlayArchive) -> None:
        """Replace what the channel stores of past plays, for an evaluation.

        Requests read the plays before their own time only. A release is at most some days old when it serves a request,
        so its stored plays are nearly complete; after a fit on the `train` part they are not.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the channel as JSON, Parquet and safetensors files."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""

    def similar_items(self, items: np.ndarray, k: int) -> Candidates:
        """The `k` items most similar to a set of one or more items, without these, [1, K]; empty if the channel has no
        item similarity.
        """
        del items
        return Candidates.empty(k)
