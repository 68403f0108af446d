"""Recipes: sizes of a training run.

`debug` checks that the pipeline runs, `small` fits a laptop, `full` gives the best models.

`CHANNELS` of `training/recall/registry.py` and `RANKERS` of `training/ranking/registry.py` list the models; the
hyperparameters of a model for each recipe are defined next to the model (`Model.config(recipe_name)`).
"""

from __future__ import annotations

from dataclasses import dataclass

FITS = ("held_out", "refit", "final")
"""What a fit learns from: `held_out` from train, `refit` from train and validation, `final` from everything."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run that are not specific to a model."""

    name: str
    seed: int
    fusion_cases_per_user: int  # validation cases per user that fusion weights are tuned on; more of few users
    validation_cases_per_user: int  # the same for the ranker's blend weight
    excluded_rankers: tuple[str, ...] = ()  # rankers of RANKERS that this recipe does not train, to save time
    ranking_test_cases: int = 100_000  # maximum number of test plays and impressions that rankers are measured on
    refits_before_test: bool = False
    """Whether all models are fitted again on train and validation before the test part is scored. If not, `final` fits keep the
    trees of the held-out fit."""

    @property
    def fits(self) -> tuple[str, ...]:
        """Fits that a run of this recipe has."""
        return FITS if self.refits_before_test else ("held_out", "final")


RECIPES: dict[str, Recipe] = {
    "debug": Recipe("debug", seed=0, fusion_cases_per_user=5, validation_cases_per_user=3),
    # `interest_evolution` takes twice the time of `target_attention` and was not better on real logs.
    "small": Recipe(
        "small",
        seed=0,
        fusion_cases_per_user=30,
        validation_cases_per_user=10,
        excluded_rankers=("interest_evolution",),
    ),
    "full": Recipe(
        "full",
        seed=0,
        fusion_cases_per_user=100,
        validation_cases_per_user=30,
        ranking_test_cases=10_000_000,
        refits_before_test=True,
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe with that name.

    Raises:
        ValueError: there is no such recipe.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is unknown; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
