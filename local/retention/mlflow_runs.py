"""Removal of old MLflow runs, with their metrics and artifacts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from config.settings import FOREVER, Settings
from config.tool_environment import tool_environment

GC_RUNS = 500
"""Runs that one `mlflow gc` removes: their ids are one argument, which Linux limits to 128 KiB."""
MAX_RUNS = 50_000
"""Runs that MLflow returns at once; the next removal finds the others."""


def find_old_runs(here: Settings, days: int, now: datetime) -> list[str]:
    """Ids of at most MAX_RUNS runs that ended before the lifetime, oldest first, with those whose removal failed midway.

    Runs that never ended, because their process was killed, follow if they started before the lifetime.
    """
    if days == FOREVER or not (here.mlflow / "mlflow.db").exists():
        return []
    from mlflow.entities import ViewType  # takes seconds

    client, limit_ms = _client(here), int((now - timedelta(days=days)).timestamp() * 1000)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    conditions = {
        "attributes.end_time": f"attributes.end_time < {limit_ms}",
        "attributes.start_time": f"attributes.status = 'RUNNING' and attributes.start_time < {limit_ms}",
    }
    pages = [
        client.search_runs(experiments, condition, ViewType.ALL, MAX_RUNS, [order])
        for order, condition in conditions.items()
    ]
    return list(dict.fromkeys(run.info.run_id for page in pages for run in page))


def remove_runs(here: Settings, run_ids: list[str]) -> None:
    """Remove the runs; MLflow deletes in two steps."""
    if not run_ids:
        return
    client = _client(here)
    program = shutil.which("mlflow", path=str(Path(sys.executable).parent)) or "mlflow"
    uri = tool_environment(here)["MLFLOW_TRACKING_URI"]
    for first in range(0, len(run_ids), GC_RUNS):
        removed = run_ids[first : first + GC_RUNS]
        for run_id in removed:
            if client.get_run(run_id).info.lifecycle_stage == "active":
                client.delete_run(run_id)
        subprocess.run(
            [program, "gc", "--backend-store-uri", uri, "--tracking-uri", uri, "--run-ids", ",".join(removed)],
            env=os.environ | tool_environment(here),
            check=True,
            stdout=subprocess.DEVNULL,
        )


def _client(here: Settings) -> Any:
    from mlflow import MlflowClient  # takes seconds

    return MlflowClient(tracking_uri=tool_environment(here)["MLFLOW_TRACKING_URI"])
