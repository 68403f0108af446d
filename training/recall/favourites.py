"""The favourites channel: repeat consumption by ACT-R base-level activation of the user's own tracks.

`activation = Σ (seconds since each play) ** -decay`: Anderson, Bothell, Byrne, Douglass, Lebiere, Qin, "An Integrated
Theory of the Mind" (2004), section on declarative memory; used for music by Tran, Tricard, Hennequin, "Transformers
Meet ACT-R: Repeat-Aware and Sequential Listening Session Recommendation" (2024), arXiv 2408.16578.

Differences: no logarithm for ranking (it does not change the order), only the last L plays, a skip counts as a fraction
of a listen, ages below a minute count as a minute, decay and skip weight are tuned on validation. Nothing is learned
from other users.

Legend: B requests, L plays, K candidates, V vocabulary.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sequences.batch import FIRST_CODE
from training.data.recall_cases import recall_table
from training.data.training_data import TrainingData
from training.data.unique_keys import unique_inverse
from training.data.user_batch import UserBatch, load_user_batches
from training.data.user_history import HISTORY_VIEW, is_listened
from training.data.vocabulary import Vocabulary
from training.engine.workspace import write_json
from training.recall.channel import Candidates, RecallChannel
from training.recall.reason import Reason

MIN_AGE_S = 60.0
DECAY_GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SKIP_WEIGHT_GRID = (0.0, 0.1, 0.2, 0.4)
DEFAULT_DECAY, DEFAULT_SKIP_WEIGHT = 0.5, 0.2


@dataclass(frozen=True)
class FavouritesConfig:
    """Configuration of the favourites channel. Tuning maximizes recall@50 + recall@200."""

    decay: float | None = None  # exponent of the age; None: tuned over DECAY_GRID
    skip: float | None = None  # weight of a skip relative to a listen; None: tuned over SKIP_WEIGHT_GRID, after `decay`
    cases_per_user: int = 10  # validation cases per user
    seed: int = 0  # of the sample of validation cases


class Favourites(RecallChannel[FavouritesConfig]):
    """Tracks of the user's history with the highest base-level activation; empty for a user without a history.

    Played tracks are candidates even if they are not in the catalog of the fit.
    """

    name: ClassVar[str] = "favourites"
    feature_service: ClassVar[str] = "favourites"

    def __init__(self, config: FavouritesConfig, vocabulary: Vocabulary) -> None:
        self.resolved_config = config
        self.vocabulary = vocabulary
        self._measures: dict[str, Any] = {}

    @classmethod
    def config(cls, recipe: str) -> FavouritesConfig:
        """The config of a recipe; recipes differ in the number of validation cases."""
        return FavouritesConfig(cases_per_user={"debug": 3, "small": 10}.get(recipe, 30))

    @classmethod
    def fit(cls, data: TrainingData, config: FavouritesConfig, folder: Path) -> Favourites:
        """Tune decay and skip weight; there is nothing else to fit."""
        del folder
        if config.decay is not None and config.skip is not None:
            return cls(config, data.vocabulary)
        cases = data.recall_cases("validation").sample(config.cases_per_user, config.seed)
        batches = load_user_batches(data, cases, cls.feature_service)
        measures: dict[str, Any] = {}
        for name, values, default in (
            ("decay", DECAY_GRID, DEFAULT_DECAY),
            ("skip", SKIP_WEIGHT_GRID, DEFAULT_SKIP_WEIGHT),
        ):
            if getattr(config, name) is not None:
                continue
            tried: dict[float, dict[str, float]] = {}
            for value in values if len(cases) else ():
                channel = cls(_with_value(config, name, value), data.vocabulary)
                items_CK = np.concatenate([channel.recall(users, 200).items_BK for users in batches])
                tried[value] = recall_table(items_CK, cases)
            chosen = max(tried, key=lambda value: _validation_objective(tried[value]), default=default)
            config = _with_value(config, name, chosen)
            measures |= {name: chosen, "validation": tried.get(chosen, {})}
            measures[f"{name}s"] = {str(value): _validation_objective(table) for value, table in tried.items()}
        fitted = cls(config, data.vocabulary)
        fitted._measures = measures
        return fitted

    def measures(self) -> dict[str, Any]:
        """The tried decays and skip weights, and the validation recall of the best ones."""
        return self._measures

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """The `k` tracks with the highest activation at request time, ties by smaller item code."""
        history = users.views[HISTORY_VIEW]
        track_BL, ended_BL = history.columns["track_id"], history.columns["ended_at"]
        V = len(self.vocabulary)
        decay = DEFAULT_DECAY if self.resolved_config.decay is None else self.resolved_config.decay
        skip = DEFAULT_SKIP_WEIGHT if self.resolved_config.skip is None else self.resolved_config.skip
        weight_BL = np.where(is_listened(history), 1.0, skip)
        row, column = np.nonzero(history.mask_BL & (track_BL >= FIRST_CODE) & (track_BL < V) & (weight_BL > 0))
        age_s = np.maximum((users.request_at_B[row] - ended_BL[row, column]) / 1e6, MIN_AGE_S)
        key, place = unique_inverse(row * np.int64(V) + track_BL[row, column])
        activation = np.bincount(place, weights=weight_BL[row, column] * age_s**-decay, minlength=len(key))
        row, item = np.divmod(key, V)
        order = np.lexsort((item, -activation, row))
        row, item, activation = row[order], item[order], activation[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        kept = rank < k
        items_BK = np.zeros((len(users), k), dtype=np.int64)
        scores_BK = np.full((len(users), k), -np.inf, dtype=np.float32)
        items_BK[row[kept], rank[kept]] = item[kept]
        scores_BK[row[kept], rank[kept]] = np.log(activation[kept])
        return Candidates(items_BK, scores_BK)

    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """How often each track was listened to within the history view."""
        history = user.views[HISTORY_VIEW]
        times = Counter(history.columns["track_id"][0][is_listened(history)[0]].tolist())
        return [_play_count_reason(times[item]) for item in items]

    def save(self, folder: Path) -> None:
        """Write the config as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "favourites.json", asdict(self.resolved_config))

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """The channel that `save` wrote."""
        return cls(FavouritesConfig(**json.loads((folder / "favourites.json").read_text())), vocabulary)


def _with_value(config: FavouritesConfig, name: str, value: float) -> FavouritesConfig:
    return replace(config, decay=value) if name == "decay" else replace(config, skip=value)


def _play_count_reason(times: int) -> Reason:
    if not times:
        return Reason("recurring_in_history")
    return Reason("listened_times", {"times": times}) if times > 1 else Reason("listened_before")


def _validation_objective(table: dict[str, float]) -> float:
    return table["recall_at_50/all"] + table["recall_at_200/all"]
