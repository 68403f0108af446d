"""Comparison of two training workspaces: renamed keys are no difference, changed content is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from benchmarks import compare_fits
from training.recipes import FITS


@pytest.fixture
def old(tmp_path: Path) -> Path:
    workspace = tmp_path / "old"
    channel = workspace / "final" / "channels" / "realtime"
    channel.mkdir(parents=True)
    save_file(
        {"item.weight": torch.arange(6.0).reshape(2, 3), "scale": torch.ones(1)}, channel / "realtime.safetensors"
    )
    np.savez(channel / "tracks.npz", id=np.arange(3), plays=np.array([1.5, 2.5, 3.5]))
    pl.DataFrame({"artist_id": ["a", None], "plays": [1, 2]}).write_parquet(channel / "artists.parquet")
    (channel / "trees.txt").write_text("tree\nfeature_names=a b\nsplit_feature=0 1\nend of trees\na=3\n")
    (channel / "measures.json").write_text(json.dumps({"value": 0.25, "seconds": 3.0, "history": [{"loss": 1.0}]}))
    favourites = workspace / "final" / "channels" / "favourites"
    favourites.mkdir()
    (favourites / "measures.json").write_text("{}")
    (favourites / "favourites.json").write_text(json.dumps({"decay": 0.3, "skip": 0.1, "seed": 0}))
    (workspace / "evaluation").mkdir()
    pl.DataFrame({"rank": [0, 3]}).write_parquet(workspace / "evaluation" / "slate.parquet")
    (workspace / "evaluation" / "evaluation.json").write_text(
        json.dumps({"recall": {"a": [0.5, None]}, "seconds": 1.0})
    )
    return workspace


@pytest.fixture
def new(old: Path, tmp_path: Path) -> Path:
    return shutil.copytree(old, tmp_path / "new")


def differences(old: Path, new: Path) -> dict[str, str]:
    return {name: text for name, text in compare_fits.compare_workspaces(old, new) if text}


def test_renamed_keys_and_files_and_other_durations_are_no_difference(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    channel = new / "final" / "channels" / "realtime"
    (channel / "realtime.safetensors").unlink()
    save_file({"b": torch.ones(1), "a": torch.arange(6.0).reshape(2, 3)}, channel / "model.safetensors")
    pl.DataFrame({"count": [1, 2], "artist": ["a", None]}).write_parquet(channel / "artists.parquet")
    (channel / "trees.txt").write_text("tree\nfeature_names=x y\nsplit_feature=0 1\nend of trees\nx=3\n")
    (channel / "measures.json").write_text(json.dumps({"objective": 0.25, "seconds": 9.0, "history": [{"loss": 1.0}]}))
    (new / "final" / "channels" / "favourites" / "favourites.json").write_text('{"model": {"decay": 0.3, "skip": 0.1}}')
    assert differences(old, new) == {}
    assert compare_fits.main([str(old), str(new)]) == 0
    assert "identical  final/channels/realtime" in capsys.readouterr().out


@pytest.mark.parametrize("fit", FITS)
def test_every_fit_is_compared(old: Path, new: Path, fit: str) -> None:
    if fit != "final":
        for workspace in (old, new):
            shutil.copytree(workspace / "final", workspace / fit)
    (new / fit / "channels" / "realtime" / "measures.json").write_text("{}")
    assert list(differences(old, new)) == [f"{fit}/channels/realtime"]


@pytest.mark.parametrize("place", ["tensor", "dtype", "npz", "parquet", "trees", "measures", "config", "missing"])
def test_changed_content_is_a_difference(old: Path, new: Path, place: str) -> None:
    channel, name = new / "final" / "channels" / "realtime", "final/channels/realtime"
    weight = torch.arange(6.0).reshape(2, 3)
    if place == "tensor":
        save_file({"item.weight": weight.T.contiguous(), "scale": torch.ones(1)}, channel / "realtime.safetensors")
    elif place == "dtype":
        save_file({"item.weight": weight.double(), "scale": torch.ones(1)}, channel / "realtime.safetensors")
    elif place == "npz":
        np.savez(channel / "tracks.npz", id=np.arange(3), plays=np.array([1.5, 2.5, np.nextafter(3.5, 4)]))
    elif place == "parquet":
        pl.DataFrame({"artist_id": [None, "a"], "plays": [1, 2]}).write_parquet(channel / "artists.parquet")
    elif place == "trees":
        (channel / "trees.txt").write_text("tree\nfeature_names=a b\nsplit_feature=1 1\nend of trees\n")
    elif place == "measures":
        (channel / "measures.json").write_text(json.dumps({"value": 0.26, "history": [{"loss": 1.0}]}))
    elif place == "config":
        name = "final/channels/favourites"
        (new / name / "favourites.json").write_text(json.dumps({"decay": 0.31, "skip": 0.1}))
    else:
        shutil.rmtree(channel)
    assert list(differences(old, new)) == [name]


def test_evaluation_is_compared_value_by_value(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"rank": [0, 4]}).write_parquet(new / "evaluation" / "slate.parquet")
    (new / "evaluation" / "evaluation.json").write_text(
        json.dumps({"recall": {"a": [0.4, None]}, "split": "user_time"})
    )
    assert compare_fits.main([str(old), str(new)]) == 1
    printed = capsys.readouterr().out
    assert "DIFFERENT  evaluation/slate.parquet" in printed
    assert "/recall/a[0]: 0.5 became 0.4; /split: only in the new file" in printed
    assert printed.endswith("2 differences\n")


def test_folder_without_fits_is_refused(tmp_path: Path, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compare_fits.main([str(old), str(tmp_path)])
    assert "is not a training workspace" in capsys.readouterr().err
