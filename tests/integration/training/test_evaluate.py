"""Evaluation of a small world, and of one without a validation or a test part."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest

from recommender.recall.popularity import Popularity, PopularityConfig
from recommender.recall.realtime import Realtime
from releases.format import MissingInput
from tests.support.training.fitted_workspace import use_without_registry, workspace
from training import train as train_module
from training.data.plays import PARTS
from training.evaluate import evaluate, is_own_catalog, model_input_hashes
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.model_selection import choose
from training.evaluation.serving_filter import ServingFilter
from training.mlflow_tracking import HEADLINES
from training.recipes import read_section
from training.release.manifest import release_inputs
from training.release.publish import release
from training.trainer import FIT_RECORD_FILE
from training.workspace import INPUTS_FILE, MEASURES_FILE, Workspace


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as monkeypatch:
        here = workspace(home, monkeypatch)
        assert evaluate(here)
        assert not evaluate(here), "the same inputs are not evaluated again"
    return here, home


@pytest.fixture
def copied(evaluated: tuple[Workspace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy of the evaluated workspace, whose home is the one of this process."""
    use_without_registry(shutil.copytree(evaluated[1], tmp_path / "home"), monkeypatch)
    return Workspace.open(recipe="debug")


def test_requested_shares_are_measured(evaluated: tuple[Workspace, Path]) -> None:
    found = json.loads((evaluated[1] / "reports" / "evaluation.json").read_text())
    shares = [row["discovery_share"][0] for row in found["requested_shares"].values()]
    assert shares == sorted(shares) and shares[0] < shares[-1]


@pytest.mark.parametrize(("users", "played", "is_own"), [(1, [2, 3, 3], True), (1, [2], False), (2, [2, 3], False)])
def test_a_catalog_is_ones_own_if_one_user_has_played_all_of_it(users: int, played: list[int], is_own: bool) -> None:
    data = SimpleNamespace(
        user_ids_U=["u"] * users, catalog_V=np.array([False, False, True, True]), plays=SimpleNamespace(track_P=played)
    )
    assert is_own_catalog(data) is is_own


def test_fits_are_runs_below_one_of_the_day(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{copied.folder}/mlflow.db")
    for channel in ("popularity", "realtime"):
        folder = copied.model_folder("channel", "held_out", channel)
        (folder / INPUTS_FILE).unlink()
        train_module.train(copied, "channel", channel, "held_out")
    measures = json.loads((folder / MEASURES_FILE).read_text())
    client = MlflowClient()
    runs = {
        run.info.run_name: run for run in client.search_runs([client.get_experiment_by_name("segue").experiment_id])
    }
    assert set(runs) == {copied.folder.name, "channel-popularity-held_out", "channel-realtime-held_out"}
    run, parent = runs["channel-realtime-held_out"], runs[copied.folder.name]
    assert run.info.status == "FINISHED" and run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.data.params["optimizer.steps"] == "20" and run.data.params["seed"] == "0"
    assert run.data.metrics["validation/recall_at_50/all"] == measures["validation"]["recall_at_50/all"]
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(row.step, row.value) for row in history] == [(row["step"], row["loss"]) for row in measures["history"]]
    assert len(run.data.metrics) == len(HEADLINES) + 1


def test_a_fit_goes_on_without_the_store_of_mlflow(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (copied.model_folder("channel", "held_out", "realtime") / INPUTS_FILE).unlink()
    assert train_module.train(copied, "channel", "realtime", "held_out")
    assert capsys.readouterr().err.count("warning: MLflow has no further record") == 1


def test_log_without_listens_has_no_listwise_head(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert copied.list_fitted("head", "held_out", ["listened"]) == ["listened"]
    # Without listens in the new log, the head of the old log must be removed.
    marts = copied.marts / "plays.parquet"
    pl.read_parquet(marts).with_columns(is_listened=pl.lit(False)).write_parquet(marts)
    train_module.train(Workspace.open(recipe="debug"), "channel", "popularity", "held_out")
    for fit in ("held_out", "final"):
        monkeypatch.setattr("sys.argv", ["train", "head", "listened", "--recipe", "debug", "--fit", fit])
        train_module.main()
        assert copied.list_fitted("head", "held_out", ["listened"]) == []


def test_models_of_other_marts_are_neither_evaluated_nor_released(
    copied: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    marts = copied.marts / "plays.parquet"
    plays = pl.read_parquet(marts)
    plays.filter(pl.col("track_id") != plays["track_id"][0]).write_parquet(marts)  # the codes of tracks change
    here = Workspace.open(recipe="debug")
    train_module.train(here, "channel", "popularity", "held_out")
    assert evaluate(here)
    assert list(model_input_hashes(here, "held_out")) == ["channel/popularity"]
    assert "omitted: channel realtime (held_out) was fitted on other marts; run" in capsys.readouterr().out
    with pytest.raises(MissingInput, match="channel/popularity has no final fit on the present marts; run"):
        release_inputs(here)
    train_module.train(here, "channel", "popularity", "final")
    assert list(release_inputs(here)["final"]) == ["channel/popularity"]


def test_half_replaced_models_and_evaluations_are_not_finished(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(read_section("debug", "popularity", PopularityConfig), half_life_days=10)
    monkeypatch.setattr(train_module, "config_of", lambda *_: changed)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Popularity, "save", Mock(side_effect=KeyboardInterrupt))
        train_module.train(copied, "channel", "popularity", "held_out")
    assert copied.list_fitted("channel", "held_out", ["popularity"]) == []
    assert train_module.train(copied, "channel", "popularity", "held_out")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("training.evaluate.tune_continuation", Mock(side_effect=KeyboardInterrupt))
        evaluate(copied)
    assert not (copied.folder / "evaluation" / INPUTS_FILE).exists()


def test_checkpoints_are_kept_until_the_fit_is_finished(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(copied.folder.rglob("checkpoints"))
    folder = copied.model_folder("channel", "held_out", "realtime")
    (folder / INPUTS_FILE).unlink()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Realtime, "save", Mock(side_effect=KeyboardInterrupt))
        train_module.train(copied, "channel", "realtime", "held_out")
    assert list((folder / "checkpoints").glob(f"*/{FIT_RECORD_FILE}"))
    assert train_module.train(copied, "channel", "realtime", "held_out")
    assert not (folder / "checkpoints").exists()


def test_another_seed_gives_other_models_and_leaves_the_reports(copied: Workspace, tmp_path: Path) -> None:
    other = copied.with_seed(1)
    for channel in ("popularity", "realtime"):
        assert train_module.train(other, "channel", channel, "held_out")
    assert evaluate(other) and not evaluate(other)
    first, second = (json.loads((run.folder / "evaluation" / "evaluation.json").read_text()) for run in (copied, other))
    assert second["recall"]["realtime"] != first["recall"]["realtime"]
    assert second["recall"]["popularity"] == first["recall"]["popularity"]
    assert json.loads((tmp_path / "home" / "reports" / "evaluation.json").read_text()) == first
    assert not train_module.train(copied, "channel", "realtime", "held_out")


def without_part(held_out: HeldOutModels, part: str) -> HeldOutModels:
    """The models with data whose plays of every part come from `train`."""
    plays = held_out.data.plays
    part_P = np.where(plays.part_P == PARTS.index(part), PARTS.index("train"), plays.part_P)
    held_out.data.plays = replace(plays, part_P=part_P.astype(plays.part_P.dtype))
    return held_out


def test_log_without_a_validation_part_gets_the_simplest_ranker(copied: Workspace) -> None:
    held_out = without_part(HeldOutModels.open(copied), "validation")
    choice = choose(held_out, ServingFilter.from_data(held_out.data))
    assert choice.ranker == "sum_pooling" and choice.notes["fusion_cases"] == 0


def test_log_without_a_test_part_is_evaluated_and_not_released(
    copied: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copied.folder / "evaluation")
    load = HeldOutModels.open
    monkeypatch.setattr(HeldOutModels, "open", lambda *arguments: without_part(load(*arguments), "test"))
    assert evaluate(copied)
    content = json.loads((tmp_path / "home" / "reports" / "evaluation.json").read_text())
    assert content["cases"]["test_sessions"] == 0
    assert content["slate_lists"]["served"] == {"discovery_share": [None] * 3, "tracks_per_artist": [None] * 2}
    with pytest.raises(MissingInput, match="land more plays"):
        release(copied)
