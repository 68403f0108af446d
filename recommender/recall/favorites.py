"""The favorites channel: repeat consumption by ACT-R base-level activation of the user's own tracks.

`activation = Σ (seconds since each play) ** -decay`: Anderson, Bothell, Byrne, Douglass, Lebiere, Qin, "An Integrated
Theory of the Mind" (2004), section on declarative memory; used for music by Tran, Tricard, Hennequin, "Transformers
Meet ACT-R: Repeat-Aware and Sequential Listening Session Recommendation" (2024), arXiv 2408.16578.

Differences: no logarithm for ranking (it does not change the order), a skip counts as a fraction of a listen, ages below
a minute count as a minute. Boosted trees then correct the order of the most active tracks by when, how often and in which
company they were played (`repeat_features.py`). They are fitted on requests of the `train` part, which are as valid as later
ones, because all features are of the user's own plays before a request. Plays older than the history view come from an
archive that is part of the channel.

Legend: B requests, T tracks of one user, C candidates, K results, V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from config.dataclass_io import Section, config_from_dict
from recommender.catalog.vocabulary import Vocabulary
from recommender.nn.trees import Trees
from recommender.recall.learned_order import ORDER_FILE, OrderConfig, OrderedChannel, Ranked
from recommender.recall.play_archive import LISTENED, PlayArchive
from recommender.recall.reason import LIKED, RECENT_ACTIVITY, Reason, repeat_reasons
from recommender.recall.repeat_features import FEATURE_NAMES, PlayTable, candidate_features
from recommender.user.user_batch import UserBatch, kept_items
from storage.files import write_json


@dataclass(frozen=True)
class RepeatOrderConfig(OrderConfig):
    """Learned order of the most active tracks."""

    min_history_plays: int


@dataclass(frozen=True)
class FavoritesConfig(Section):
    """Configuration of the favorites channel; `training/recipes/small.yaml` says what its fields mean."""

    decay: float
    skip: float
    order: RepeatOrderConfig
    max_plays: int
    cases_per_user: int
    seed: int


class Favorites(OrderedChannel[FavoritesConfig]):
    """Tracks of the user's history that are most likely to be played again; empty for a user without a history.

    Played tracks are candidates even if they are not in the catalog of the fit.
    """

    name: ClassVar[str] = "favorites"
    config_class = FavoritesConfig
    feature_service: ClassVar[str] = "favorites"
    feature_names = FEATURE_NAMES
    # Over the positions of a list of 200; each tree is grown on half of the requests.
    objective: ClassVar[dict[str, Any]] = {
        "lambdarank_truncation_level": 200,
        "bagging_by_query": True,
        "bagging_fraction": 0.5,
        "bagging_freq": 1,
    }

    def __init__(
        self,
        config: FavoritesConfig,
        vocabulary: Vocabulary,
        archive: PlayArchive,
        order: Trees | None = None,
    ) -> None:
        self.resolved_config, self.vocabulary, self.archive, self.order = config, vocabulary, archive, order

    def store_past_plays(self, plays: PlayArchive) -> None:
        """See `RecallChannel`."""
        self.archive = plays

    def rank(self, users: UserBatch, k: int) -> Iterator[Ranked]:
        """See `OrderedChannel`."""
        config = self.resolved_config
        past = self.archive.past_plays(users, config.max_plays)
        for plays, request_at in zip(past, users.request_at_B.tolist(), strict=True):
            table = PlayTable.of(plays, request_at, len(self.vocabulary))
            order_C, activation_T = table.most_active(config.decay, config.skip, k)
            yield table.item_T[order_C], (table, order_C, activation_T)

    def features(self, source: Any, item_C: np.ndarray) -> np.ndarray:
        """See `OrderedChannel`."""
        table, order_C, activation_T = source
        artist_V, skip = self.vocabulary.artist_of_track_V, self.resolved_config.skip
        return candidate_features(table, order_C[: len(item_C)], activation_T, artist_V, skip)

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """When and how often each track was listened to, before the history view too."""
        plays = next(self.archive.past_plays(user, self.resolved_config.max_plays))
        is_listened_N, kept, now_us = plays.outcome_N >= LISTENED, kept_items(user.views), int(user.request_at_B[0])
        found = repeat_reasons(plays.track_N[is_listened_N], plays.ended_at_N[is_listened_N], items, now_us)
        return [found.get(item) or (LIKED if item in kept else RECENT_ACTIVITY) for item in items]

    def save(self, folder: Path) -> None:
        """Write the config as JSON, the archive as Parquet and the order as text."""
        write_json(folder / "favorites.json", asdict(self.resolved_config))
        self.archive.save(folder)
        self.save_order(folder)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""
        config = config_from_dict(FavoritesConfig, json.loads((folder / "favorites.json").read_text()))
        return cls(config, vocabulary, PlayArchive.load(folder), Trees.load(folder / ORDER_FILE))
