"""Retention removes old MLflow runs from the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from config.settings import Settings
from local.retention import find_old_runs, remove_runs

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize("is_killed", [False, True])
def test_old_mlflow_runs_are_removed_with_their_metrics(here: Settings, is_killed: bool) -> None:
    """By the end of a run, and by the start of one that a killed process left."""
    from mlflow import MlflowClient  # takes a second in every worker

    here.mlflow.mkdir()
    client = MlflowClient(tracking_uri=f"sqlite:///{here.mlflow}/mlflow.db")
    experiment = client.create_experiment("segue", (here.mlflow / "artifacts").as_uri())
    times_ms = [int((NOW - timedelta(days=days)).timestamp() * 1000) for days in (100, 10)]
    old, new = (client.create_run(experiment, start_time=time_ms).info.run_id for time_ms in times_ms)
    for run, time_ms in zip((old, new), times_ms, strict=True):
        client.log_metric(run, "recall", 0.5)
        if not is_killed:
            client.set_terminated(run, end_time=time_ms)
    assert find_old_runs(here, 90, NOW) == [old]
    remove_runs(here, [old])
    assert [run.info.run_id for run in client.search_runs([experiment], run_view_type=3)] == [new]
