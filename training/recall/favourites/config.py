"""Config of the favourites channel; `training/recipes/small.yaml` says what its fields mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.engine.config_io import Section


@dataclass(frozen=True)
class RepeatOrderConfig(Section):
    """Learned order of the most active tracks."""

    trees: int
    leaves: int
    learning_rate: float
    min_candidates_per_leaf: int
    pool: int
    train_fraction: float
    min_history_plays: int
    requests_per_user: int
    max_requests: int

    @property
    def objective(self) -> dict[str, Any]:
        """LambdaMART over the positions of a list of 200; each tree is grown on half of the requests."""
        bagging = {"bagging_by_query": True, "bagging_fraction": 0.5, "bagging_freq": 1}
        return {"objective": "lambdarank", "lambdarank_truncation_level": 200, **bagging}


@dataclass(frozen=True)
class FavouritesConfig(Section):
    """Configuration of the favourites channel."""

    decay: float
    skip: float
    order: RepeatOrderConfig
    max_plays: int
    cases_per_user: int
    seed: int
