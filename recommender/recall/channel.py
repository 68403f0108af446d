"""Interface of recall channels: `k` candidate items for each request.

Legend: B requests, K candidates. Independent of fusion and HTTP.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

import numpy as np

from recommender.array_types import Ints
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


def pad_rows(rows: Iterable[Ints], k: int) -> Ints:
    """The first `k` items of each row [B, k], padded at the end with 0."""
    lists = list(rows)
    items_BK = np.zeros((len(lists), k), dtype=np.int64)
    for items_K, items in zip(items_BK, lists, strict=True):
        items_K[: len(items)] = items[:k]
    return items_BK


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
    def recall(self, users: UserBatch, k: int) -> Ints:
        """The `k` best items for each request [B, K], best first; 0 = no item, only at the end of a row."""

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

    def similar_items(self, items: np.ndarray, k: int) -> Ints:
        """The `k` items most similar to a set of one or more items, without these, [1, K]; empty if the channel has no
        item similarity.
        """
        del items
        return np.zeros((1, k), dtype=np.int64)
