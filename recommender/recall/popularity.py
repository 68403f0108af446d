"""The popularity channel: the most played tracks, with exponential time decay. It also serves users without a history.

Each user counts once per track and day, so that one user's repeats do not make a hit; a day's weight decays with a
half-life. Tracks in the languages of the user's recent tracks rank higher.

Legend: B requests, V vocabulary, N stored catalog items, K candidates, L events, A languages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from config.dataclass_io import Section, config_from_dict
from recommender.array_types import Ints
from recommender.catalog.arrays import top_k_positions
from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.channel import RecallChannel, pad_rows
from recommender.recall.reason import Reason
from recommender.user.user_batch import UserBatch
from storage.files import write_json

COUNT_ARRAYS = ("people_N", "times_N")
"""Number of users who listened to each stored item in `train`, and number of listens; used by the reasons."""


@dataclass(frozen=True)
class PopularityConfig(Section):
    """Configuration of the popularity channel; `training/recipes/small.yaml` says what its fields mean."""

    half_life_days: float
    max_tracks: int
    boost: float


class Popularity(RecallChannel[PopularityConfig]):
    """The most played tracks of the catalog, reordered by language where it is known."""

    name: ClassVar[str] = "popularity"
    config_class = PopularityConfig
    feature_service: ClassVar[str] = "popularity"

    def __init__(
        self,
        config: PopularityConfig,
        item_N: np.ndarray,
        weight_N: np.ndarray,
        languages: ItemLanguages,
        people_N: np.ndarray,
        times_N: np.ndarray,
    ) -> None:
        self.resolved_config, self.item_N, self.weight_N, self.languages = config, item_N, weight_N, languages
        self.people_N, self.times_N = people_N, times_N

    def recall(self, users: UserBatch, k: int) -> Ints:
        """The `k` most popular items; equal for users with the same languages."""
        matching_BN = self.languages.match_scores(users)
        score_BN = (self.weight_N + 1e-9) * (1 + self.resolved_config.boost * matching_BN)
        return pad_rows((self.item_N[top_k_positions(score_N, k)] for score_N in score_BN), k)

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """The number of users who listened to each track; if it is one, the number of listens, because it may be this
        user.
        """
        del user
        return [_listen_count_reason(*self._counts.get(item, (0, 0))) for item in items]

    @cached_property
    def _counts(self) -> dict[int, tuple[int, int]]:
        counts = zip(self.people_N.tolist(), self.times_N.tolist(), strict=True)
        return dict(zip(self.item_N.tolist(), counts, strict=True))

    def save(self, folder: Path) -> None:
        """Write config and names of languages as JSON, counts and languages of items as arrays."""
        values = {"languages": self.languages.names}
        write_json(folder / "popularity.json", asdict(self.resolved_config) | {"values": values})
        arrays: dict[str, Any] = {name: getattr(self, name) for name in ("item_N", "weight_N", *COUNT_ARRAYS)}
        np.savez_compressed(folder / "popularity.npz", **arrays, has_languages=self.languages.share_NA > 0)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""
        del vocabulary
        stored = json.loads((folder / "popularity.json").read_text())
        names = stored.pop("values")["languages"]
        with np.load(folder / "popularity.npz", allow_pickle=False) as arrays:
            languages = ItemLanguages(arrays["item_N"], names, arrays["has_languages"].astype(float))
            counts = {name: arrays[name] for name in COUNT_ARRAYS}
            config, item_N, weight_N = config_from_dict(PopularityConfig, stored), arrays["item_N"], arrays["weight_N"]
        return cls(config, item_N, weight_N, languages, **counts)


def _listen_count_reason(people: int, times: int) -> Reason:
    if people > 1:
        return Reason("listened_by_people", {"people": people})
    if times > 1:
        return Reason("listened_times_overall", {"times": times})
    return Reason("listened_once_overall") if times else Reason("most_played")


@dataclass(frozen=True)
class ItemLanguages:
    """Languages of the stored items: `names` [A], and which items are in which, 1 or 0, [N, A]."""

    item_N: np.ndarray
    names: list[str]
    share_NA: np.ndarray

    @cached_property
    def _order_N(self) -> np.ndarray:
        return np.argsort(self.item_N)

    def match_scores(self, users: UserBatch) -> np.ndarray:
        """Match of items with requests, [B, N] in 0..1: the fraction of the user's recent events in the languages of
        the item, clipped to 1.
        """
        recent = users.views["recent_events"].columns["track_id"]
        place_BL = np.searchsorted(self.item_N, recent, sorter=self._order_N)
        row_BL = self._order_N[np.minimum(place_BL, len(self.item_N) - 1)]
        is_stored_BL = self.item_N[row_BL] == recent
        count_BA = (self.share_NA[row_BL] * is_stored_BL[:, :, None]).sum(1)
        return np.minimum(count_BA / np.maximum(count_BA.sum(1, keepdims=True), 1) @ self.share_NA.T, 1)
