"""Recipes: all numbers of a training run, one YAML file each.

`debug` checks that the pipeline runs, `small` fits a laptop, `full` gives the best models. `small.yaml` says what every field
means. A section is the config of the model of that name (`training.train list all`), or `run`.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from config.dataclass_io import Section, config_from_dict

FITS = ("held_out", "final")
"""What a fit learns from: `held_out` from train, `final` from everything."""
RECIPES = ("debug", "full", "small")
FOLDER = Path(__file__).parent

Config = TypeVar("Config")


@dataclass(frozen=True)
class Recipe(Section):
    """Section `run`: what is not specific to a model."""

    seed: int
    fusion_cases_per_user: int
    validation_cases_per_user: int
    excluded_rankers: tuple[str, ...]
    ranking_test_cases: int
    encoded_content: dict[str, int]


def add_workspace_arguments(parser: ArgumentParser) -> None:
    """The arguments of a command that name a workspace: `--as-of` and `--recipe`."""
    parser.add_argument("--as-of", help="YYYY-MM-DD; default: the day after the newest event")
    parser.add_argument("--recipe", choices=RECIPES, default="small")


def recipe(name: str) -> Recipe:
    """The section `run` of a recipe; raises as `read_section`."""
    return read_section(name, "run", Recipe)


def read_section(name: str, section: str, config_class: type[Config]) -> Config:
    """A section of a recipe.

    Args:
        name: Name of the recipe.
        section: Name of a model, or `run`.
        config_class: Dataclass of the section. Fields with a default are what the fit chooses, and may be left out.

    Raises:
        ValueError: There is no such section, or a field is missing, unknown or of another type; the message names
            the file and the field.
    """
    file, sections = FOLDER / f"{name}.yaml", _read(name)
    if section not in sections:
        raise ValueError(f"{file} has no section {section}; add it with the fields of {config_class.__name__}")
    try:
        return config_from_dict(config_class, sections[section])
    except ValueError as error:
        raise ValueError(f"{file}, section {section}: {error}") from error


@cache
def _read(name: str) -> Mapping[str, Any]:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def config_of(model: type[Any], recipe_name: str) -> Any:
    """The config of a model (`name`, `config_class`) in a recipe; raises as `read_section`."""
    return read_section(recipe_name, model.name, model.config_class)
