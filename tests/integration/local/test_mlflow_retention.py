"""Retention removes old MLflow runs from the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mlflow import MlflowClient

from config.settings import Settings
from local.retention import find_old_runs, remove_runs

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


def write_runs(here: Settings, *days_old: int) -> tuple[MlflowClient, str, list[str]]:
    """A client, an experiment and runs that ended these days ago."""
    here.mlflow.mkdir()
    client = MlflowClient(tracking_uri=f"sqlite:///{here.mlflow}/mlflow.db")
    experiment = client.create_experiment("segue", (here.mlflow / "artifacts").as_uri())
    runs = [client.create_run(experiment).info.run_id for _ in days_old]
    for run, days in zip(runs, days_old, strict=True):
        client.log_metric(run, "recall", 0.5)
        client.set_terminated(run, end_time=int((NOW - timedelta(days=days)).timestamp() * 1000))
    return client, experiment, runs


def test_old_mlflow_runs_are_removed_with_their_metrics(here: Settings) -> None:
    client, experiment, runs = write_runs(here, 100, 10)
    assert find_old_runs(here, 90, NOW) == runs[:1]
    remove_runs(here, runs[:1])
    assert [run.info.run_id for run in client.search_runs([experiment], run_view_type=3)] == runs[1:]


def test_runs_of_killed_processes_are_removed_by_their_start(here: Settings) -> None:
    client, experiment, _ = write_runs(here)
    killed, running = (
        client.create_run(experiment, start_time=int((NOW - timedelta(days=days)).timestamp() * 1000)).info.run_id
        for days in (100, 10)
    )
    assert find_old_runs(here, 90, NOW) == [killed]
    remove_runs(here, [killed])
    assert [run.info.run_id for run in client.search_runs([experiment], run_view_type=3)] == [running]
