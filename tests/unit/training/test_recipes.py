"""What each recipe trains."""

from __future__ import annotations

import json

import pytest

from training.ranking import RANKERS
from training.recipes import RECIPES
from training.train import MODEL_TABLES, main, model_names


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_recipe_trains_every_ranker_that_it_does_not_leave_out_by_name(recipe: str) -> None:
    left_out = RECIPES[recipe].excluded_rankers
    assert set(left_out) < set(RANKERS)
    assert model_names("rankers", recipe) == [name for name in RANKERS if name not in left_out]


def test_a_new_ranker_is_trained_without_any_other_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RANKERS, "mine", RANKERS["sum_pooling"])
    assert all("mine" in model_names("rankers", recipe) for recipe in RECIPES)


def test_full_trains_the_whole_ladder() -> None:
    assert model_names("rankers", "full") == list(RANKERS)


def test_a_list_of_all_is_every_table_of_the_recipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train", "list", "all", "--recipe", "small"])
    main()
    assert json.loads(capsys.readouterr().out) == {table: model_names(table, "small") for table in MODEL_TABLES}
