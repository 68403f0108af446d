"""How big rankers are in each recipe: one budget for every rung of the ladder, so that the climb is the model's own."""

from __future__ import annotations

from training.ranking.ranker import RankerConfig

CONFIGS: dict[str, RankerConfig] = {
    "debug": RankerConfig(width=8, hidden=(16, 8), pieces=4, minimum_count=2, cases=20_000, validate_every=250),
    "small": RankerConfig(),
    "full": RankerConfig(cases=5_000_000),
}


def ranker_config(recipe: str) -> RankerConfig:
    """The numbers of a recipe.

    Raises:
        ValueError: there is no such recipe.
    """
    if recipe not in CONFIGS:
        raise ValueError(f"recipe {recipe!r} is unknown; choose one of {', '.join(CONFIGS)}")
    return CONFIGS[recipe]
