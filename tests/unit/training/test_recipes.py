"""Models that each recipe trains."""

from __future__ import annotations

import json

import pytest

from training.ranking.registry import RANKERS
from training.recipes import RECIPES
from training.train import MODEL_TABLES, main, model_names


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_recipes_train_all_rankers_that_they_do_not_exclude(recipe: str) -> None:
    excluded = RECIPES[recipe].excluded_rankers
    assert set(excluded) < set(RANKERS)
    assert model_names("rankers", recipe) == [name for name in RANKERS if name not in excluded]


def test_list_all_prints_every_table_of_the_recipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train", "list", "all", "--recipe", "small"])
    main()
    assert json.loads(capsys.readouterr().out) == {table: model_names(table, "small") for table in MODEL_TABLES}
