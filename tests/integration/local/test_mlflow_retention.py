"""Retention removes old MLflow runs from the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from config.settings import Settings
from local.retention.mlflow_runs import find_old_runs, remove_runs

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


def test_old_mlflow_runs_are_removed_with_their_metrics(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    here = Settings(tmp_path, "127.0.0.1", 1, 1, 1, 1)
    here.mlflow.mkdir()
    client = MlflowClient(tracking_uri=f"sqlite:///{here.mlflow}/mlflow.db")
    experiment = client.create_experiment("segue", (here.mlflow / "artifacts").as_uri())
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    for run, days in zip(runs, (100, 10), strict=True):
        client.log_metric(run, "recall", 0.5)
        client.set_terminated(run, end_time=int((NOW - timedelta(days=days)).timestamp() * 1000))
    assert find_old_runs(here, 90, NOW) == runs[:1]
    remove_runs(here, runs[:1])
    assert [run.info.run_id for run in client.search_runs([experiment], run_view_type=3)] == runs[1:]
