"""Config of the favourites channel, and its recipes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class RepeatOrderConfig:
    """Learned order of the most active tracks."""

    trees: int = 60  # 0: order by activation
    leaves: int = 31
    learning_rate: float = 0.12
    min_candidates_per_leaf: int = 200
    pool: int = 1_000  # most active tracks of a request that are ordered; further ones follow by activation
    train_fraction: float = 0.6  # newest sessions of each user in `train` from which requests are drawn
    min_history_plays: int = 100  # requests with fewer plays before them are not learned from
    requests_per_user: int = 20
    max_requests: int = 6_000

    @property
    def objective(self) -> dict[str, Any]:
        """LambdaMART over the positions of a list of 200; each tree is grown on half of the requests."""
        bagging = {"bagging_by_query": True, "bagging_fraction": 0.5, "bagging_freq": 1}
        return {"objective": "lambdarank", "lambdarank_truncation_level": 200, **bagging}


@dataclass(frozen=True)
class FavouritesConfig:
    """Configuration of the favourites channel."""

    decay: float = 0.5  # exponent of the age
    skip: float = 0.2  # weight of a skip relative to a listen
    order: RepeatOrderConfig = field(default_factory=RepeatOrderConfig)
    max_plays: int = 20_000  # newest plays of a user that a request reads
    cases_per_user: int = 10  # validation cases per user that the orders are compared on; more of few users
    seed: int = 0  # of the samples of cases and of the trees


def favourites_config(recipe: str) -> FavouritesConfig:
    """The config of a recipe; recipes differ in the number of validation cases and of requests to learn from."""
    small = FavouritesConfig()
    if recipe == "debug":
        order = replace(small.order, trees=5, min_candidates_per_leaf=5, min_history_plays=20, requests_per_user=5)
        return replace(small, order=order, cases_per_user=3)
    if recipe == "full":
        order = replace(small.order, requests_per_user=60, max_requests=12_000)
        return replace(small, order=order, cases_per_user=30)
    return small
