"""Ablations on the tiny world: cached cells, resuming after a kill, and the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from tests.support.training.tiny_world import SERVICES, START, random_plays, write_marts
from training.ablations import ABLATIONS, ranker_trial
from training.ablations.__main__ import main, run
from training.ablations.channel_trial import CASES_PER_USER, CASES_SEED
from training.ablations.grid import Ablation, Cell, CellResult, Grid
from training.ablations.ranker_trial import EvaluationScope
from training.ablations.table import measure_recall, render_markdown
from training.data.feature_services import ServiceContract
from training.data.recall_cases import recall_table
from training.data.user_batch import OfflineFeatures
from training.engine.workspace import Workspace
from training.ranking.features.ranking_features import VIEWS
from training.recall.realtime.channel import Realtime

TINY = {"training.epochs": 1, "training.batch_size": 64, "network.width": 4}
ABLATION = Ablation(
    name="tiny",
    question="Does it matter?",
    cells=(Cell("off", "sum_pooling", TINY), Cell("on", "sum_pooling", {**TINY, "features.hard_search": True})),
    pairs=(("on", "off"),),
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The tiny world without a Feast registry."""
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(ServiceContract, "of", classmethod(lambda cls, store, service: cls(VIEWS)))
    monkeypatch.setattr(OfflineFeatures, "store", None)
    marts = write_marts(tmp_path / "marts", random_plays())
    counts = ("plays_total", "listens_total", "full_plays_total", "skips_total", "plays_7d", "plays_28d")
    rows = pl.DataFrame({"track_id": ["t3"], "known_at": [START], **{name: [2] for name in counts}})
    rows.with_columns(pl.col("known_at").cast(pl.Datetime("us"))).write_parquet(marts / "track_statistics.parquet")
    return Workspace(tmp_path / "workspace", marts, "2024-02-01", "debug")


def count_fits(monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> list[bool]:
    """Record whether each fit has hard search; kill the fit number `fail_at`."""
    fits: list[bool] = []
    original = ranker_trial.fit_ranker

    def fit_ranker(name, data, config, folder, offline):
        fits.append(config.features.hard_search)
        if len(fits) - 1 == fail_at:
            raise KeyboardInterrupt
        return original(name, data, config, folder, offline)

    monkeypatch.setattr(ranker_trial, "fit_ranker", fit_ranker)
    return fits


def test_killed_ablation_resumes_and_finished_one_computes_nothing(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = count_fits(monkeypatch, fail_at=1)
    with pytest.raises(KeyboardInterrupt):
        run(ABLATION, workspace, 1, Grid(workspace, tmp_path / "ablations"))
    page = run(ABLATION, workspace, 1, Grid(workspace, tmp_path / "ablations"))
    assert fits == [False, True, True]
    assert run(ABLATION, workspace, 1, Grid(workspace, tmp_path / "ablations")) == page
    assert len(fits) == 3
    run(ABLATION, workspace, 2, Grid(workspace, tmp_path / "ablations"))
    assert fits[3:] == [False, True]


def test_other_data_is_another_cell(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = count_fits(monkeypatch)
    cell = ABLATION.cells[0]
    first = Grid(workspace, tmp_path / "ablations").result(cell, 0)
    plays = pl.read_parquet(workspace.marts / "plays.parquet")
    validation = plays.filter(pl.col("part") == "validation").sort("user_id", "play_number")
    assert first.predictions["label"].to_list() == validation["is_listened"].cast(pl.Float32).to_list()
    write_marts(workspace.marts, random_plays(seed=1))
    again = Workspace(workspace.folder, workspace.marts, workspace.as_of, workspace.recipe)
    Grid(again, tmp_path / "ablations").result(cell, 0)
    assert len(fits) == 2


def result(generator: np.random.Generator, labels: np.ndarray, signal: float, code: str) -> CellResult:
    """Simulated probabilities for cases of four users."""
    probability = 1 / (1 + np.exp(-(signal * (labels - 0.5) + generator.normal(size=len(labels)))))
    rows = pl.DataFrame({"user": np.arange(len(labels)) % 4, "label": labels, "probability": probability})
    return CellResult(rows, {"seconds": 2.0, "parameters": 1234, "code": code})


def test_report_has_means_over_seeds_and_paired_differences() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 400).astype(np.float32)
    results = {
        "off": [result(generator, labels, 0.5, "new"), result(generator, labels, 0.6, "old")],
        "on": [result(generator, labels, 2.0, "new"), result(generator, labels, 2.2, "new")],
    }
    page = render_markdown(ABLATION, results, [0, 1], "here", {"off": "new", "on": "new"})
    auc = {
        name: [roc_auc_score(run.predictions["label"], run.predictions["probability"]) for run in runs]
        for name, runs in results.items()
    }
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines()}
    assert f"| {np.mean(auc['off']):.4f} [" in lines["off"] and f"| {np.mean(auc['on']):.4f} [" in lines["on"]
    assert "1,234" in lines["on"] and "hard_search True" in lines["on"]
    assert f"| {np.mean(auc['on']) - np.mean(auc['off']):+.4f} [" in lines["on − off"]
    assert "to repeat): off." in page


def test_report_has_a_table_per_task_and_the_position_effect() -> None:
    generator = np.random.default_rng(0)
    ablation = replace(ABLATION, scope=EvaluationScope("test", ("click", "full_play", "like")))
    results: dict[str, list[CellResult]] = {"off": [], "on": []}
    for name, signals in (("off", {"click": 0.5, "full_play": 2.0}), ("on", {"click": 2.0, "full_play": 0.5})):
        labels = generator.integers(0, 2, 400).astype(np.float32)
        rows = [
            result(generator, labels, signal, "new").predictions.with_columns(task=pl.lit(task))
            for task, signal in signals.items()
        ]
        effect = {"places": [1, 2, 3], "logits": [0.9, 0.5, 0.6]} if name == "on" else {"places": []}
        measures = {"seconds": 2.0, "parameters": 1, "code": "new", "position_effect": effect}
        results[name].append(CellResult(pl.concat(rows), measures))
    page = render_markdown(ablation, results, [0], "here", {"off": "new", "on": "new"})
    click, full_play, like = (page.split(f"Task `{task}`:")[1].split("Task")[0] for task in ablation.scope.tasks)
    gains = [float(part.split("| on − off | ")[1].split(" ")[0]) for part in (click, full_play)]
    assert gains[0] > 0.1 and gains[1] < -0.1
    assert "the log has no labels for it" in like
    assert "on: rank correlation of the bias tower with earlier positions (of 3): 0.500." in page


def test_a_fresh_cell_is_not_outdated(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of a cell is that of its own model, not of all models of the ablation."""
    monkeypatch.setattr(
        ServiceContract, "of", classmethod(lambda cls, store, service: SERVICES.get(service, cls(VIEWS)))
    )
    peers = replace(ABLATION, cells=(ABLATION.cells[0], Cell("peer", "gbdt", {"cases": 500})), pairs=())
    page = run(peers, workspace, 1, Grid(workspace, tmp_path / "ablations"))
    assert "| off |" in page and "| peer |" in page
    assert "Computed by earlier code" not in page


def test_recall_of_one_user_has_an_interval_over_sessions() -> None:
    recall_C = np.random.default_rng(0).random(20)
    value, low, high = measure_recall(pl.DataFrame({"user": [0] * 20, "recall_at_50/all": recall_C}))[
        "recall_at_50/all"
    ].interval()
    assert low < value < high


def test_a_log_without_the_tasks_of_the_scope_has_no_rows(workspace: Workspace, tmp_path: Path) -> None:
    ablation = replace(ABLATION, scope=EvaluationScope("test", ("click",)))
    page = run(ablation, workspace, 1, Grid(workspace, tmp_path / "ablations"))
    assert page.count("the log has no labels for it.") == 1


def test_rankers_are_measured_without_a_validation_part(workspace: Workspace, tmp_path: Path) -> None:
    plays = pl.read_parquet(workspace.marts / "plays.parquet")
    plays.filter(pl.col("part") != "validation").write_parquet(workspace.marts / "plays.parquet")
    again = Workspace(workspace.folder, workspace.marts, workspace.as_of, workspace.recipe)
    found = Grid(again, tmp_path / "ablations").result(ABLATION.cells[0], 0, EvaluationScope("test")).predictions
    assert found.height == plays.filter(pl.col("part") == "test").height


def test_other_scope_is_another_cell(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = count_fits(monkeypatch)
    grid, scope = Grid(workspace, tmp_path / "ablations"), EvaluationScope("test", ("full_play", "not_skipped"))
    grid.result(ABLATION.cells[0], 0)
    found = grid.result(ABLATION.cells[0], 0, scope).predictions
    assert len(fits) == 2 and found["task"].unique().sort().to_list() == ["full_play", "not_skipped"]
    plays = pl.read_parquet(workspace.marts / "plays.parquet").filter(pl.col("part") == "test")
    assert found.height == 2 * plays.height


def test_channel_is_measured_on_validation_sessions(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ServiceContract, "of", classmethod(lambda cls, store, service: SERVICES[service]))
    ablation = Ablation(
        name="tiny",
        question="Do longer histories help?",
        cells=(Cell("without", "realtime", {}), Cell("with", "realtime", {"encoder.history_length": 32})),
        pairs=(("with", "without"),),
    )
    grid = Grid(workspace, tmp_path / "ablations")
    page = run(ablation, workspace, 1, grid)
    rows = grid.result(ablation.cells[1], 0).predictions
    data = grid.offline.data
    cases = data.recall_cases("validation").sample(CASES_PER_USER, CASES_SEED)
    channel = Realtime.fit(data, ablation.cells[1].config("debug", 0), tmp_path / "again")
    users = grid.offline.load_user_batch("realtime", cases.user_ids.tolist(), cases.request_at_C)
    table = recall_table(channel.recall(users, 200).items_BK, cases)
    by_user = rows.with_columns(pl.col("recall_at_50/all").fill_nan(None)).group_by("user").mean()
    assert by_user["recall_at_50/all"].mean() == pytest.approx(table["recall_at_50/all"])
    line = next(line for line in page.splitlines() if line.startswith("| with |"))
    assert f"| {table['recall_at_50/all']:.4f} [" in line and "history_length 32" in line
    assert "| with − without |" in page and "@200 all by seed" in page


def test_pairs_of_ablations_are_existing_cells() -> None:
    for name, ablation in ABLATIONS.items():
        cells = [cell.name for cell in ablation.cells]
        assert ablation.name == name and len(set(cells)) == len(cells)
        assert all(cell in cells for pair in ablation.pairs for cell in pair)
        configs = [(cell.model, cell.config("small", 0)) for cell in ablation.cells]
        assert all(configs.count(config) == 1 for config in configs)


def test_subset_of_cells(workspace: Workspace, tmp_path: Path) -> None:
    subset = ABLATIONS["ranking_history"].subset(["hard", "none"])
    assert [cell.name for cell in subset.cells] == ["none", "hard"]
    assert subset.pairs == (("hard", "none"),)
    with pytest.raises(ValueError, match=r"harder.*choose from none, soft, hard"):
        ABLATIONS["ranking_history"].subset(["harder"])
    single = replace(ABLATIONS["ranking_history"], cells=ABLATION.cells[:1], pairs=())
    page = run(single, workspace, 1, Grid(workspace, tmp_path / "ablations"))
    assert "`python -m training.ablations ranking_history --seeds 1 --cells off`" in page


def test_missing_marts_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["ablations", "ranking_history"])
    with pytest.raises(SystemExit, match="make pipeline"):
        main()
