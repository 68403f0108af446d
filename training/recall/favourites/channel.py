"""The favourites channel: repeat consumption by ACT-R base-level activation of the user's own tracks.

`activation = Σ (seconds since each play) ** -decay`: Anderson, Bothell, Byrne, Douglass, Lebiere, Qin, "An Integrated
Theory of the Mind" (2004), section on declarative memory; used for music by Tran, Tricard, Hennequin, "Transformers
Meet ACT-R: Repeat-Aware and Sequential Listening Session Recommendation" (2024), arXiv 2408.16578.

Differences: no logarithm for ranking (it does not change the order), a skip counts as a fraction of a listen, ages below
a minute count as a minute, decay and skip weight are tuned on validation. Boosted trees then correct the order of the
most active tracks by when, how often and in which company they were played (`candidate_features.py`). Plays that are
older than those of the history view come from an archive that is part of the channel.

Legend: B requests, T tracks of one user, C candidates, K results, V vocabulary.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from tqdm import tqdm

from training.data.plays import PARTS
from training.data.recall_cases import RecallCases, recall_table
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch, load_user_batches
from training.data.user_history import kept_items
from training.data.vocabulary import Vocabulary
from training.engine.config_io import config_from_dict
from training.engine.workspace import write_json
from training.recall.channel import Candidates, RecallChannel
from training.recall.favourites.candidate_features import PlayTable, candidate_features
from training.recall.favourites.config import FavouritesConfig
from training.recall.learned_order.candidate_order import FILE as ORDER_FILE
from training.recall.learned_order.candidate_order import CandidateOrder
from training.recall.play_archive import LISTENED, PlayArchive
from training.recall.reason import LIKED, RECENT_ACTIVITY, Reason

DECAY_GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SKIP_WEIGHT_GRID = (0.0, 0.1, 0.2, 0.4)
DEFAULT_DECAY, DEFAULT_SKIP_WEIGHT = 0.5, 0.2
TUNING_TRACKS = 200  # tracks of a request that tuning looks at


class Favourites(RecallChannel[FavouritesConfig]):
    """Tracks of the user's history that are most likely to be played again; empty for a user without a history.

    Played tracks are candidates even if they are not in the catalog of the fit.
    """

    name: ClassVar[str] = "favourites"
    config_class = FavouritesConfig
    feature_service: ClassVar[str] = "favourites"

    def __init__(
        self,
        config: FavouritesConfig,
        vocabulary: Vocabulary,
        archive: PlayArchive | None = None,
        order: CandidateOrder | None = None,
    ) -> None:
        self.resolved_config = config
        self.vocabulary = vocabulary
        self.archive = PlayArchive.empty() if archive is None else archive
        self.order = order
        self._measures: dict[str, Any] = {}

    @classmethod
    def fit(cls, data: TrainingData, config: FavouritesConfig, folder: Path) -> Favourites:
        """Tune decay and skip weight, then fit the order, or copy that of `data.held_out_model`."""
        del folder
        # Imported here because serving loads channels without needing the training code.
        from training.recall.favourites.order_training import fit_order

        is_tuned = config.decay is not None and config.skip is not None
        channel = cls(config, data.vocabulary, PlayArchive.of(data, PARTS))
        measures = {} if is_tuned else channel._tune(data)
        if config.order.trees and data.held_out_model is not None:
            channel.order = CandidateOrder.load(data.held_out_model)
        elif config.order.trees:
            channel.order, measures["order"] = fit_order(channel, data, is_compared=not is_tuned)
            if channel.order is None:
                order = replace(channel.resolved_config.order, trees=0)
                channel.resolved_config = replace(channel.resolved_config, order=order)
        channel.archive = PlayArchive.of(data).newest(config.max_plays)
        channel._measures = measures
        return channel

    def _tune(self, data: TrainingData) -> dict[str, Any]:
        """Set decay and skip weight to the best on validation, without an order; returns the measures."""
        config = self.resolved_config
        validation = data.recall_cases("validation")
        cases = validation.sample(validation.number_per_user(config.cases_per_user), config.seed)
        batches = load_user_batches(data, cases, self.feature_service)
        measures: dict[str, Any] = {}
        for name, values, default in (
            ("decay", DECAY_GRID, DEFAULT_DECAY),
            ("skip", SKIP_WEIGHT_GRID, DEFAULT_SKIP_WEIGHT),
        ):
            if getattr(config, name) is not None:
                continue
            configs = {value: _with_value(config, name, value) for value in values}
            tried = self._recall_by_config(batches, cases, configs) if len(cases) else {}
            chosen = max(tried, key=lambda value: _validation_objective(tried[value]), default=default)
            self.resolved_config = config = _with_value(config, name, chosen)
            measures |= {name: chosen, "validation": tried.get(chosen, {})}
            measures[f"{name}s"] = {str(value): _validation_objective(table) for value, table in tried.items()}
        return measures

    def _recall_by_config(
        self, batches: Sequence[UserBatch], cases: RecallCases, configs: Mapping[float, FavouritesConfig]
    ) -> dict[float, dict[str, float]]:
        """Recall of the order by activation with some configs, which differ in decay and skip weight only.

        The plays of a request are read and grouped by track once for all configs.
        """
        items = {value: np.zeros((len(cases), TUNING_TRACKS), dtype=np.int64) for value in configs}
        bar = tqdm(batches, desc="tune decay and skip weight", mininterval=1)
        tables = (table for users in bar for table in self._tables(users))
        for row, table in enumerate(tables):
            for value, config in configs.items():
                order_C, _ = _most_active(table, config, TUNING_TRACKS)
                items[value][row, : len(order_C)] = table.item_T[order_C]
        return {value: recall_table(items_CK, cases) for value, items_CK in items.items()}

    def read_past_plays(self, data: TrainingData) -> None:
        """See `RecallChannel`."""
        self.archive = PlayArchive.of(data, PARTS)

    def measures(self) -> dict[str, Any]:
        """The tried decays and skip weights, the validation recall of the best ones, and measures of the order."""
        return self._measures

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` best tracks at request time, ties by smaller item code.

        By the learned order if there is one, else by activation; scores are those of the order, or logarithms of
        activations.
        """
        items_BK = np.zeros((len(users), k), dtype=np.int64)
        scores_BK = np.full((len(users), k), -np.inf, dtype=np.float32)
        config = self.resolved_config
        pool = config.order.pool if self.order is not None else 0
        for row, table in enumerate(self._tables(users)):
            order_C, activation_T = _most_active(table, config, max(k, pool))
            item_C, score_C = table.item_T[order_C], np.log(activation_T[order_C])
            if self.order is not None and len(order_C):
                item_C, score_C = self.order.reorder(item_C, self._features(table, order_C[:pool], activation_T))
            count = min(k, len(item_C))
            items_BK[row, :count], scores_BK[row, :count] = item_C[:count], score_C[:count]
        return Candidates(items_BK, scores_BK)

    def candidate_features(self, users: UserBatch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each request: the candidates [C] that a learned order sorts, by activation, and their features [C, F]."""
        for table in self._tables(users):
            order_C, activation_T = _most_active(table, self.resolved_config, self.resolved_config.order.pool)
            if len(order_C):
                yield table.item_T[order_C], self._features(table, order_C, activation_T)
            else:
                yield order_C, np.zeros((0, 0), dtype=np.float32)

    def _features(self, table: PlayTable, order_C: np.ndarray, activation_T: np.ndarray) -> np.ndarray:
        skip = _skip_weight(self.resolved_config)
        return candidate_features(table, order_C, activation_T, self.vocabulary.artist_of_track_V, skip)

    def _tables(self, users: UserBatch) -> Iterator[PlayTable]:
        """The plays of each request."""
        past = self.archive.past_plays(users, self.resolved_config.max_plays)
        for plays, request_at in zip(past, users.request_at_B.tolist(), strict=True):
            yield PlayTable.of(plays, request_at, len(self.vocabulary))

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """How often each track was listened to, before the history view too."""
        plays = next(self.archive.past_plays(user, self.resolved_config.max_plays))
        times = Counter(plays.track_N[plays.outcome_N >= LISTENED].tolist())
        kept = kept_items(user.views)
        return [_play_count_reason(times[item], item in kept) for item in items]

    def save(self, folder: Path) -> None:
        """Write the config as JSON, the archive as Parquet and the order as text."""
        write_json(folder / "favourites.json", asdict(self.resolved_config))
        self.archive.save(folder)
        (folder / ORDER_FILE).unlink(missing_ok=True)
        if self.order is not None:
            self.order.save(folder)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""
        config = config_from_dict(FavouritesConfig, json.loads((folder / "favourites.json").read_text()))
        return cls(config, vocabulary, PlayArchive.load(folder), CandidateOrder.load(folder))


def _with_value(config: FavouritesConfig, name: str, value: float) -> FavouritesConfig:
    return replace(config, decay=value) if name == "decay" else replace(config, skip=value)


def _most_active(table: PlayTable, config: FavouritesConfig, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` most active tracks as indices of `item_T`, and the activation of all tracks [T]."""
    decay = DEFAULT_DECAY if config.decay is None else config.decay
    activation_T = table.activation_T(decay, _skip_weight(config))
    (found,) = activation_T.nonzero()
    return found[(-activation_T[found]).argsort(kind="stable")[:k]], activation_T


def _skip_weight(config: FavouritesConfig) -> float:
    return DEFAULT_SKIP_WEIGHT if config.skip is None else config.skip


def _play_count_reason(times: int, is_kept: bool) -> Reason:
    if not times:
        return LIKED if is_kept else RECENT_ACTIVITY
    return Reason("listened_times", {"times": times}) if times > 1 else Reason("listened_before")


def _validation_objective(table: dict[str, float]) -> float:
    return table["recall_at_50/all"] + table["recall_at_200/all"]
