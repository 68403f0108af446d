"""Models that each recipe trains."""

from __future__ import annotations

import json

import pytest

from training.train import MODEL_TABLES, main, model_names


def test_list_all_prints_every_table_of_the_recipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train", "list", "all", "--recipe", "small"])
    main()
    assert json.loads(capsys.readouterr().out) == {table: model_names(table, "small") for table in MODEL_TABLES}
