"""Recipes: models that each one trains, and their files."""

from __future__ import annotations

import json
import re
from dataclasses import is_dataclass
from typing import Any

import pytest

from recommender.ranking.listwise_head import LambdaMARTConfig
from recommender.ranking.registry import RANKERS
from recommender.ranking.task_weights import LISTWISE_HEAD
from recommender.recall.registry import CHANNELS, COLLECTIONS
from training import recipes
from training.recipes import RECIPES, Recipe, config_of, read_section
from training.train import main, model_names
from training.workspace import MODELS as NAMES_BY_KIND

MODELS = {**CHANNELS, **COLLECTIONS, **RANKERS}
SECTIONS: dict[str, type[Any]] = {
    "run": Recipe,
    LISTWISE_HEAD: LambdaMARTConfig,
    **{name: model.config_class for name, model in MODELS.items()},
}


def test_list_all_prints_every_table_of_the_recipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train", "list", "all", "--recipe", "small"])
    main()
    assert json.loads(capsys.readouterr().out) == {f"{kind}s": model_names(kind, "small") for kind in NAMES_BY_KIND}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_exactly_the_sections_of_the_models(name: str) -> None:
    assert set(recipes._read(name)) == set(SECTIONS)
    for section, config_class in SECTIONS.items():
        assert is_dataclass(read_section(name, section, config_class))


def test_every_field_of_a_recipe_is_explained() -> None:
    text = (recipes.FOLDER / "small.yaml").read_text()
    fields, explained = (set(re.findall(rf"^ +(\w+):{rest}", text, re.MULTILINE)) for rest in (" [^&*{#]", ".* # "))
    assert fields - explained == set()


@pytest.mark.parametrize(("field", "value"), [("warmup", None), ("lay", 3), ("steps", "many")])
def test_missing_unknown_and_mistyped_fields_are_named_with_their_file(
    monkeypatch: pytest.MonkeyPatch, field: str, value: Any
) -> None:
    sections = recipes._read("small")
    optimizer = {**sections["realtime"]["optimizer"], field: value}
    optimizer = {name: number for name, number in optimizer.items() if number is not None}
    monkeypatch.setattr(recipes, "_read", lambda _: {"realtime": {**sections["realtime"], "optimizer": optimizer}})
    with pytest.raises(ValueError, match=rf"(?s)small\.yaml, section realtime.*optimizer\.{field}"):
        config_of(CHANNELS["realtime"], "small")
    with pytest.raises(ValueError, match=r"small\.yaml has no section popularity"):
        config_of(CHANNELS["popularity"], "small")
