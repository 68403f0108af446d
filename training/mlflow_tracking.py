"""MLflow during a fit: one parent run per day and recipe, and a nested run per model.

Parameters are the config by dotted path, metrics the loss and the validation value by step and HEADLINES at the end. A run is
a record that no fit depends on: if the store is locked or away, the fit warns once and goes on without it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from config import settings
from storage.file_lock import file_lock

EXPERIMENT = "segue"
HEADLINES = ("value", "validation/recall_at_50/all", "validation/recall_at_200/all", "total_seconds", "peak_mb")
"""Measures of a fit that its run has."""
_open_runs: list[Run] = []


class Run:
    """A run of MLflow, nested in the run of the workspace; without a name, the run of the workspace itself.

    Nothing is written without MLFLOW_TRACKING_URI.

    Args:
        workspace: Folder of the workspace; the parent run has its name.
        name: Name of the nested run.
        parameters: Nested dictionaries are written by dotted path.
    """

    def __init__(self, workspace: Path, name: str, parameters: Mapping[str, Any]) -> None:
        self._client: Any = None
        self._id = ""
        if os.environ.get("MLFLOW_TRACKING_URI"):
            self._try(lambda: self._start(workspace, name, flatten(parameters, ".")))

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Write metrics of a step."""
        if self._client is not None:
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            rows = [Metric(name, float(value), now, step) for name, value in metrics.items()]
            self._try(lambda: self._client.log_batch(self._id, rows))

    def end(self, status: str) -> None:
        """End the run as FINISHED or FAILED."""
        if self._client is not None:
            self._try(lambda: self._client.set_terminated(self._id, status))

    def _start(self, workspace: Path, name: str, parameters: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        from mlflow import MlflowClient  # takes seconds
        from mlflow.entities import Param

        # Tables, experiment and parent run are created once.
        with file_lock(workspace.parent / "mlflow.lock"):
            client = MlflowClient()
            found = client.get_experiment_by_name(EXPERIMENT)
            artifacts = (settings.load_settings().mlflow / "artifacts").as_uri()
            experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT, artifacts)
            runs = client.search_runs([experiment], f"attributes.run_name = '{workspace.name}'", max_results=1)
            run = runs[0] if runs else client.create_run(experiment, run_name=workspace.name)
        if name:
            run = client.create_run(experiment, tags={"mlflow.parentRunId": run.info.run_id}, run_name=name)
        self._id = run.info.run_id
        client.log_batch(self._id, params=[Param(key, str(value)[:500]) for key, value in parameters.items()])
        self._client = client

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self._client = None
            print(f"warning: MLflow has no further record of this run: {str(error).splitlines()[0]}", file=sys.stderr)


@contextmanager
def track_run(workspace: Path, name: str, parameters: Mapping[str, Any]) -> Iterator[Run]:
    """A run for the time of the context, to which `log_step` writes."""
    run = Run(workspace, name, parameters)
    _open_runs.append(run)
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    finally:
        _open_runs.remove(run)
        run.end(status)


def log_step(metrics: Mapping[str, float], step: int) -> None:
    """Write metrics of a step to the run of this process, if there is one."""
    for run in _open_runs:
        run.log(metrics, step)


def flatten(values: Mapping[str, Any], separator: str) -> dict[str, Any]:
    """Nested dictionaries as one, by path."""
    (flat,) = pd.json_normalize(dict(values), sep=separator).to_dict("records")
    return {str(path): value for path, value in flat.items()}
