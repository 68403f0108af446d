"""`make acceptance`: the pipeline on real logs and on the default simulated world meets its requirements."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from storage.files import read_json, write_json
from tests.support.acceptance_plugin import HOME, IS_FULL_SIZE, LOGS, RECIPE, ROWS, key, report
from tests.support.log_sources import copy_first_rows
from tests.support.pipeline_commands import run_to_end
from tests.support.ports import PORTS, free_port
from tests.support.tiers import acceptance_only

BASELINES = ("tuned_base_level_activation", "tifu_knn", "popularity")
MIN_AUC, MIN_GAUC = 0.872, 0.830  # of the served ranker on the real logs
MAX_AUC = 0.92  # more indicates that the label leaks into the features
pytestmark = [
    pytest.mark.timeout(4 * 3600),
    acceptance_only,
]
needs_logs = pytest.mark.skipif(
    not (LOGS / "events.csv.gz").exists(),
    reason=f"no play log at {LOGS} (events.csv.gz is missing); name one: SEGUE_ACCEPTANCE_LOGS=FOLDER",
)
needs_full_size = pytest.mark.skipif(not IS_FULL_SIZE, reason="required for all logs and recipe small only")


class Home:
    """Home with its ports and the first run in it, which a killed test continues."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.folder, self.arguments = HOME / name, arguments
        ports = {port: str(free_port()) for port in PORTS}
        self.variables = {**os.environ, **ports, "SEGUE_HOME": str(self.folder)}
        self.first_run: dict[str, Any] = {}

    def run_once(self) -> None:
        """Run `local.run` in a fresh home, unless a run with this code and these inputs has succeeded there."""
        self.python("local.services", "stop")  # what a killed run left
        file = self.folder.with_name(f"{self.folder.name}.json")
        self.first_run = read_json(file)
        if self.first_run.get("key") != key():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.first_run = {"key": key()}
            write_json(file, self.first_run)
        if "output" not in self.first_run:
            output = self.python("local.run", *self.arguments)
            as_of = read_json(self.folder / "reports" / "evaluation.json")["as_of"]
            self.first_run |= {"output": output, "as_of": as_of}
            write_json(file, self.first_run)

    def python(self, *arguments: str) -> str:
        return run_to_end([sys.executable, "-m", *arguments], self.variables)

    def evaluation(self) -> dict[str, dict[str, dict[str, dict[str, list[float]]]]]:
        workspace = self.folder / "training" / f"{self.first_run['as_of']}-{RECIPE}"
        return json.loads((workspace / "evaluation" / "evaluation.json").read_text())

    def release(self) -> str:
        return str(json.loads((self.folder / "bentoml" / "active.json").read_text())["release"])

    def landed(self) -> list[tuple[str, int]]:
        return [(str(file), file.stat().st_mtime_ns) for file in sorted((self.folder / "landing").rglob("*.parquet"))]


@pytest.fixture(scope="module")
def logs() -> Path:
    """The logs, or their first ROWS rows."""
    if not ROWS:
        return LOGS
    folder = HOME / f"logs_{ROWS}"
    shutil.rmtree(folder, ignore_errors=True)
    return copy_first_rows(LOGS, folder, ROWS)


@pytest.fixture(scope="module")
def real(logs):
    home = Home("real", ["--logs", str(logs), "--recipe", RECIPE])
    try:
        home.run_once()
        yield home
    finally:
        home.python("local.services", "stop")


@pytest.fixture(scope="module")
def simulated():
    home = Home("simulated", ["--recipe", RECIPE])
    try:
        home.run_once()
        yield home
    finally:
        home.python("local.services", "stop")


@needs_logs
def test_real_logs_give_recommendations(real):
    assert "For listener" in real.first_run["output"] and real.release() in real.first_run["output"]
    assert not [*real.folder.glob("airflow/logs/dag_id=*/**/attempt=[2-9]*.log")], "a task was killed"


@needs_logs
def test_a_second_run_changes_nothing(real):
    landed, release = real.landed(), real.release()
    logs = set(real.folder.glob("airflow/logs/**/*.log"))
    # The recommendation that the first run printed is an impression of today; without a day the run would be of another day.
    assert "release_ready" in real.python("local.run", *real.arguments, "--as-of", real.first_run["as_of"])
    assert real.release() == release
    assert set(landed) <= set(real.landed())
    texts = {log: log.read_text() for log in set(real.folder.glob("airflow/logs/**/*.log")) - logs}
    for task in ("prepare", "evaluate", "release", "channels.train_channel", "rankers.train_ranker"):
        task_texts = [text for log, text in texts.items() if f"task_id={task}" in log.parts]
        assert task_texts, f"no log of {task}"
        assert all("unchanged" in text or "not refitted" in text for text in task_texts), task


@needs_logs
@needs_full_size
@pytest.mark.parametrize(
    ("table", "name", "metric"),
    [("recall", "fused", "recall_at_200"), ("slate", "served", "recall_at_30"), ("slate", "served", "ndcg_at_10")],
)
def test_lists_are_significantly_better_than_the_best_tuned_baseline(real, table, name, metric):
    best = max(BASELINES, key=lambda baseline: real.evaluation()[table][baseline][metric]["all"][0])
    check_difference(real, f"{name} - {best}", metric)


@needs_logs
@needs_full_size
@pytest.mark.parametrize(
    ("pair", "metric"),
    [
        ("served - fused", "recall_at_30"),
        ("served - fused", "ndcg_at_10"),
        ("target_attention - sum_pooling", "not_skipped/gauc"),
        ("{ranker} - trees_alone", "not_skipped/auc"),
        ("{ranker} - trees_alone", "not_skipped/gauc"),
    ],
)
def test_each_part_is_significantly_better_than_without_it(real, pair, metric):
    check_difference(real, pair.format(ranker=real.evaluation()["chosen"]["ranker"]), metric)


def check_difference(home, pair, metric):
    difference = home.evaluation()["differences"][pair][metric]
    report(f"{pair}, {metric}", "above 0 with its interval", _interval(difference))
    assert difference[1] > 0


@needs_logs
def test_served_lists_have_the_requested_discoveries_and_few_tracks_per_artist(real):
    evaluation = real.evaluation()
    for share, row in evaluation["requested_shares"].items():
        mean = row["discovery_share"][0]
        report(f"share of unplayed tracks for discovery {share}", "within .05", f"{mean:.3f}")
        assert abs(mean - float(share)) <= 0.05
    median, most = evaluation["slate_lists"]["served"]["tracks_per_artist"]
    report("tracks by one artist in a list of 30", "at most 4 known and 3 new", f"median {median:.0f}, maximum {most}")
    assert most <= 4 + 3
    cost = evaluation["differences"]["served - served_uncapped"]["recall_at_30"]
    report("recall@30 that the cap per artist costs", "reported", _interval(cost))
    assert cost[2] < 0.01, "a cap can only remove better tracks, but for noise"


@needs_logs
@needs_full_size
def test_the_served_ranker_orders_well_and_its_label_does_not_leak(real):
    served = real.evaluation()["ranking"][real.evaluation()["chosen"]["ranker"]]["not_skipped"]
    auc, gauc = (served[name][0] for name in ("auc", "gauc"))
    report("served ranker, AUC", f"at least {MIN_AUC}, under {MAX_AUC}", f"{auc:.4f}")
    report("served ranker, GAUC", f"at least {MIN_GAUC}", f"{gauc:.4f}")
    assert MIN_AUC <= auc < MAX_AUC
    assert gauc >= MIN_GAUC


@needs_full_size
def test_behavior_of_200_users_of_the_simulated_world(simulated):
    simulated.python("served_behavior", "--recipe", RECIPE, "--users", "200")
    tests = simulated.evaluation()["behavior"]["tests"]
    assert not {name: test for name, test in tests.items() if test.get("is_missed")}


def _interval(figure: list[float]) -> str:
    value, low, high = figure
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"
