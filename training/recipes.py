"""The three sizes of everything: `debug` proves that the line runs, `small` is for a laptop, `full` for the best
models.

A recipe names what is trained; a model's own numbers stand beside the model (`Model.config(recipe_name)`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """What one run trains and on how many cases it chooses.

    `channels` and `rankers` are keys of `training.recall.CHANNELS` and `training.ranking.RANKERS`; the ranker served
    is the best on validation. `fusion_cases_per_user` and `validation_cases_per_user` bound the validation cases used
    to choose.
    """

    name: str
    seed: int
    channels: tuple[str, ...]
    rankers: tuple[str, ...]
    fusion_cases_per_user: int
    validation_cases_per_user: int


ALL_CHANNELS = ("popularity", "realtime", "favourites")
ALL_RANKERS = ("sum_pooling", "target_attention")

RECIPES: dict[str, Recipe] = {
    "debug": Recipe("debug", 0, ALL_CHANNELS, ALL_RANKERS, fusion_cases_per_user=5, validation_cases_per_user=3),
    "small": Recipe("small", 0, ALL_CHANNELS, ALL_RANKERS, fusion_cases_per_user=30, validation_cases_per_user=10),
    "full": Recipe("full", 0, ALL_CHANNELS, ALL_RANKERS, fusion_cases_per_user=100, validation_cases_per_user=30),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is unknown; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
