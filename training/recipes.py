"""The three sizes of everything: `debug` proves that the line runs, `small` is for a laptop, `full` for the best
models.

The tables `training.recall.CHANNELS` and `training.ranking.RANKERS` say which models there are; a model's own numbers
stand beside the model (`Model.config(recipe_name)`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """On how many cases a run chooses, at most: `fusion_cases_per_user` for the fusion's weights,
    `validation_cases_per_user` for the ranker's share of the order. `left_out`: rankers of the table that
    a run has no time for.
    """

    name: str
    seed: int
    fusion_cases_per_user: int
    validation_cases_per_user: int
    excluded_rankers: tuple[str, ...] = ()


RECIPES: dict[str, Recipe] = {
    "debug": Recipe("debug", seed=0, fusion_cases_per_user=5, validation_cases_per_user=3),
    "small": Recipe(
        "small", seed=0, fusion_cases_per_user=30, validation_cases_per_user=10, excluded_rankers=("session_domains",)
    ),
    "full": Recipe("full", seed=0, fusion_cases_per_user=100, validation_cases_per_user=30),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is unknown; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
