"""The favourites channel: repeat consumption by ACT-R base-level activation of the user's own tracks.

`activation = Σ (seconds since each play) ** -decay`: Anderson, Bothell, Byrne, Douglass, Lebiere, Qin, "An Integrated
Theory of the Mind" (2004), section on declarative memory; used for music by Tran, Tricard, Hennequin, "Transformers
Meet ACT-R: Repeat-Aware and Sequential Listening Session Recommendation" (2024), arXiv 2408.16578.

Differences: no logarithm for ranking (it does not change the order), a skip counts as a fraction of a listen, ages below
a minute count as a minute. Boosted trees then correct the order of the
most active tracks by when, how often and in which company they were played (`repeat_features.py`). Plays that are
older than those of the history view come from an archive that is part of the channel.

Legend: B requests, T tracks of one user, C candidates, K results, V vocabulary.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from training.data.plays import PARTS
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch
from training.data.user_history import kept_items
from training.data.vocabulary import Vocabulary
from training.engine.config_io import config_from_dict
from training.engine.workspace import write_json
from training.recall.channel import Candidates, RecallChannel
from training.recall.favourites.config import FavouritesConfig
from training.recall.learned_order.candidate_order import FILE as ORDER_FILE
from training.recall.learned_order.candidate_order import CandidateOrder
from training.recall.play_archive import LISTENED, PlayArchive
from training.recall.reason import LIKED, RECENT_ACTIVITY, Reason
from training.recall.repeat_features import PlayTable, candidate_features


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
        """Fit the order, or copy that of `data.held_out_model`."""
        del folder
        # Imported here because serving loads channels without needing the training code.
        from training.recall.favourites.order_training import fit_order

        channel = cls(config, data.vocabulary, PlayArchive.of(data, PARTS))
        measures: dict[str, Any] = {}
        if config.order.trees and data.held_out_model is not None:
            channel.order = CandidateOrder.load(data.held_out_model)
        elif config.order.trees:
            channel.order, measures["order"] = fit_order(channel, data, config)
            if channel.order is None:
                channel.resolved_config = replace(config, order=replace(config.order, trees=0))
        channel.archive = PlayArchive.of(data).newest(config.max_plays)
        channel._measures = measures
        return channel

    def read_past_plays(self, data: TrainingData) -> None:
        """See `RecallChannel`."""
        self.archive = PlayArchive.of(data, PARTS)

    def measures(self) -> dict[str, Any]:
        """Examples and validation recall of the order."""
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
            order_C, activation_T = table.most_active(config.decay, config.skip, max(k, pool))
            item_C, score_C = table.item_T[order_C], np.log(activation_T[order_C])
            if self.order is not None and len(order_C):
                item_C, score_C = self.order.reorder(item_C, self._features(table, order_C[:pool], activation_T))
            count = min(k, len(item_C))
            items_BK[row, :count], scores_BK[row, :count] = item_C[:count], score_C[:count]
        return Candidates(items_BK, scores_BK)

    def candidate_features(self, users: UserBatch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each request: the candidates [C] that a learned order sorts, by activation, and their features [C, F]."""
        config = self.resolved_config
        for table in self._tables(users):
            order_C, activation_T = table.most_active(config.decay, config.skip, config.order.pool)
            if len(order_C):
                yield table.item_T[order_C], self._features(table, order_C, activation_T)
            else:
                yield order_C, np.zeros((0, 0), dtype=np.float32)

    def _features(self, table: PlayTable, order_C: np.ndarray, activation_T: np.ndarray) -> np.ndarray:
        artist_V, skip = self.vocabulary.artist_of_track_V, self.resolved_config.skip
        return candidate_features(table, order_C, activation_T, artist_V, skip)

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


def _play_count_reason(times: int, is_kept: bool) -> Reason:
    if not times:
        return LIKED if is_kept else RECENT_ACTIVITY
    return Reason("listened_times", {"times": times}) if times > 1 else Reason("listened_before")
