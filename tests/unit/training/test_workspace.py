"""Format of a training workspace: written with every finished output, checked when the workspace is opened."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from releases.format import FORMAT, OutdatedFormat
from sequences.behaviors import load_behaviors
from tests.support.training.tiny_world import random_plays, write_marts
from training.workspace import INPUTS_FILE, Workspace, check_format, code_hash, mark_done


@pytest.mark.parametrize("output", [".", "held_out/channels/popularity", "final/rankers/sum_pooling"])
def test_outputs_of_another_version_are_refused_with_the_remedy(tmp_path: Path, output: str) -> None:
    folder = tmp_path / "2026-06-01-debug"
    check_format(folder)
    mark_done(folder / output, {"hash": "0123"})
    check_format(folder)
    assert json.loads((folder / output / INPUTS_FILE).read_text()) == {"hash": "0123", "format": FORMAT}
    (folder / output / INPUTS_FILE).write_text('{"hash": "0123"}')
    with pytest.raises(OutdatedFormat, match=rf"training workspace {folder} has format 1, .*python -m local\.migrate"):
        check_format(folder)


@pytest.mark.parametrize("change", [{"session_gap_minutes": 45}, {"skip_below_ms": 10_000}, {"rows": ()}])
def test_cache_keys_depend_on_the_table_of_behaviors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """Python reads behaviors and thresholds directly from dbt: they may change while marts and code do not."""
    monkeypatch.setattr(Workspace, "code", "hash of the code")
    workspace = Workspace(tmp_path / "training", write_marts(tmp_path / "marts", random_plays()), "2024-02-01", "debug")
    inputs, cache_folder = workspace.inputs(), workspace.cache_folder("held_out")
    assert replace(workspace).inputs() == inputs
    changed = replace(load_behaviors(), **change)
    monkeypatch.setattr("training.workspace.load_behaviors", lambda: changed)
    assert replace(workspace).inputs()["hash"] != inputs["hash"]
    assert replace(workspace).cache_folder("held_out") != cache_folder


def test_code_and_tables_change_the_code_hash_but_not_comments_docstrings_and_recipes(tmp_path: Path) -> None:
    def changed(file: str, text: str) -> str:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
        return code_hash(("training", "sequences"), tmp_path)

    hashes = [
        changed(name, "a = 1") for name in ("training/a.py", "sequences/b.yaml", "training/b.csv", "training/c/a.py")
    ]
    assert len(set(hashes)) == 4
    same = {
        changed(name, "a = 1") for name in ("serving/a.py", "training/__pycache__/a.pyc", "training/recipes/small.yaml")
    }
    same.add(changed("training/a.py", '"""A module."""\n\na  =  1  # the first\n'))
    assert same == {hashes[-1]}
    documented = changed("training/a.py", 'def f():\n    """Nothing."""\n')
    assert changed("training/a.py", 'def f():\n    # nothing\n    """All."""\n') == documented != hashes[-1]
