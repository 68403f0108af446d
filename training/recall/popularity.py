"""The popularity channel: the most played tracks, with exponential time decay. It also serves users without a history.

Each user counts once per track and day, so that one user's repeats do not make a hit; a day's weight decays with a
half-life. Tracks in the languages of the user's recent tracks, and tracks of the scene of the request, rank higher.

Legend: B requests, V vocabulary, N stored catalog items, K candidates, L events.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from training.data.plays import PARTS
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch
from training.data.vocabulary import Vocabulary
from training.engine.workspace import write_json
from training.recall.channel import Candidates, RecallChannel
from training.recall.reason import Reason

DAY_US = 86_400_000_000
BOOSTED_FACETS = ("languages", "scenes")
COUNT_ARRAYS = ("people_N", "times_N")
"""Number of users who listened to each stored item in `train`, and number of listens; used by the reasons."""


@dataclass(frozen=True)
class PopularityConfig:
    """Configuration of the popularity channel."""

    half_life_days: float = 60.0  # age at which a play counts half
    max_tracks: int = 5000  # N: most played tracks that are stored
    boost: float = 4.0  # a fully matching language or scene multiplies a track's weight by 1 + boost


class Popularity(RecallChannel[PopularityConfig]):
    """The most played tracks of the catalog, reordered by language and scene where these are known."""

    name: ClassVar[str] = "popularity"
    feature_service: ClassVar[str] = "popularity"

    def __init__(
        self,
        config: PopularityConfig,
        item_N: np.ndarray,
        weight_N: np.ndarray,
        facets: _FacetMatcher,
        people_N: np.ndarray,
        times_N: np.ndarray,
    ) -> None:
        self.resolved_config, self.item_N, self.weight_N, self.facets = config, item_N, weight_N, facets
        self.people_N, self.times_N = people_N, times_N

    @classmethod
    def config(cls, recipe: str) -> PopularityConfig:
        """The default config, for every recipe."""
        del recipe
        return PopularityConfig()

    @classmethod
    def fit(cls, data: TrainingData, config: PopularityConfig, folder: Path) -> Popularity:
        """Count the `train` plays. Ages are relative to the newest of them."""
        del folder
        plays = data.plays
        rows = np.flatnonzero((plays.part_P == PARTS.index("train")) & plays.is_listened_P)
        day = plays.known_at_P[rows] // DAY_US
        # One integer per (track, user, day): sorting integers is many times faster than sorting rows.
        users, first = np.int64(len(data.user_ids_U)), day.min(initial=day.max(initial=0))
        days = day.max(initial=0) - first + 1
        key = np.unique((plays.track_P[rows] * users + plays.user_P[rows]) * days + day - first)
        track, age = key // (users * days), days - 1 - key % days
        weight = 0.5 ** (age / config.half_life_days)
        weight_V = np.bincount(track, weights=weight, minlength=len(data.vocabulary))
        # Tracks with old plays only still come before tracks without plays, which are in vocabulary order.
        order = np.lexsort((np.arange(len(weight_V)), -weight_V))
        item_N = order[data.catalog_V[order]][: config.max_tracks]
        people_V = np.bincount(np.unique(key // days) // users, minlength=len(weight_V))
        times_V = np.bincount(plays.track_P[rows], minlength=len(weight_V))
        return cls(config, item_N, weight_V[item_N], _FacetMatcher.of(data, item_N), people_V[item_N], times_V[item_N])

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` most popular items; equal for users with the same languages and scene."""
        matching_BN = self.facets.match_scores(users)
        score_BN = (self.weight_N + 1e-9) * (1 + self.resolved_config.boost * matching_BN)
        place_BK = np.stack([_top_k(score_N, k) for score_N in score_BN])
        scores_BK = np.take_along_axis(score_BN, place_BK, 1).astype(np.float32)
        return Candidates.pad_or_truncate(self.item_N[place_BK], scores_BK, k)

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
        """Write config and facet values as JSON, counts as arrays."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "popularity.json", asdict(self.resolved_config) | {"values": self.facets.values})
        arrays: dict[str, Any] = {name: getattr(self, name) for name in ("item_N", "weight_N", *COUNT_ARRAYS)}
        arrays |= {f"has_{name}": value for name, value in self.facets.has.items()}
        np.savez_compressed(folder / "popularity.npz", **arrays)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""
        del vocabulary
        stored = json.loads((folder / "popularity.json").read_text())
        values = stored.pop("values")
        stored.pop("listeners", None)  # releases of older versions have this key, and no counts
        with np.load(folder / "popularity.npz", allow_pickle=False) as arrays:
            has = {name: arrays[f"has_{name}"] for name in BOOSTED_FACETS}
            facets = _FacetMatcher(arrays["item_N"], values, has)
            unknown = np.zeros(len(arrays["item_N"]), dtype=np.int64)
            counts = {name: arrays.get(name, unknown) for name in COUNT_ARRAYS}
            return cls(PopularityConfig(**stored), arrays["item_N"], arrays["weight_N"], facets, **counts)


def _listen_count_reason(people: int, times: int) -> Reason:
    if people > 1:
        return Reason("listened_by_people", {"people": people})
    if times > 1:
        return Reason("listened_times_overall", {"times": times})
    return Reason("listened_once_overall") if times else Reason("most_played")


def _top_k(score_N: np.ndarray, k: int) -> np.ndarray:
    """Positions of the `k` best scores, best first, ties by smaller position."""
    place = np.arange(len(score_N))
    if len(score_N) > k:
        place = np.flatnonzero(score_N >= np.partition(score_N, len(score_N) - k)[len(score_N) - k])
    return place[np.argsort(-score_N[place], kind="stable")][:k]


@dataclass(frozen=True)
class _FacetMatcher:
    """Languages and scenes of the stored items: `has[facet]` is bool [N, values], `values[facet]` the names."""

    item_N: np.ndarray
    values: dict[str, list[str]]
    has: dict[str, np.ndarray]

    @classmethod
    def of(cls, data: TrainingData, item_N: np.ndarray) -> _FacetMatcher:
        values, has = {}, {}
        for facet in BOOSTED_FACETS:
            values[facet], lists = data.facets[facet]
            has[facet] = np.zeros((len(item_N), len(values[facet])), dtype=bool)
            for row, item in enumerate(item_N.tolist()):
                has[facet][row, lists[item]] = True
        return cls(item_N, values, has)

    @cached_property
    def _languages(self) -> np.ndarray:
        return self.has["languages"].astype(float)

    @cached_property
    def _ascending(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.item_N)
        return order, self.item_N[order]

    def match_scores(self, users: UserBatch) -> np.ndarray:
        """Match of items with requests, [B, N] in 0..1: the fraction of the user's recent events in the languages of
        the item, plus 1 if the item has the scene of the request, clipped to 1.
        """
        match_BN = np.zeros((len(users), len(self.item_N)))
        languages = self._languages
        if "recent_events" in users.views and languages.shape[1]:
            recent, (order, ascending) = users.views["recent_events"].columns["track_id"], self._ascending
            row_BL = order[np.minimum(np.searchsorted(ascending, recent), len(order) - 1)]
            is_stored_BL = self.item_N[row_BL] == recent
            count = (languages[row_BL] * is_stored_BL[:, :, None]).sum(1)
            match_BN += count / np.maximum(count.sum(1, keepdims=True), 1) @ languages.T
        scenes = {scene: number for number, scene in enumerate(self.values["scenes"])}
        for row, scene in enumerate(users.scene_B):
            if scene in scenes:
                match_BN[row] += self.has["scenes"][:, scenes[scene]]
        return np.minimum(match_BN, 1)
