"""MLflow during a fit: one parent run per day and recipe, and a nested run per model.

Parameters are the config by dotted path, metrics the loss and the validation value by step and HEADLINES at the end. A run is
a record that no fit depends on: if the store is locked or away, the fit warns once and goes on without it. Nothing is written
without MLFLOW_TRACKING_URI.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from config import settings
from storage.file_lock import file_lock

EXPERIMENT = "segue"
HEADLINES = ("value", "validation/recall_at_50/all", "validation/recall_at_200/all", "total_seconds", "peak_mb")
"""Measures of a fit that its run has."""


@contextmanager
def track_run(workspace: Path, name: str, parameters: Mapping[str, Any]) -> Iterator[None]:
    """A run for the time of the context, nested in the run of the workspace, to which `log_metrics` writes.

    Args:
        workspace: Folder of the workspace; the parent run has its name.
        name: Name of the nested run; empty: the run of the workspace itself.
        parameters: Nested dictionaries are written by dotted path.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        yield
        return
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    import mlflow  # takes seconds

    with _warned():
        _start(workspace, name, flatten(parameters, "."))
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    finally:
        with _warned():
            mlflow.end_run(status)


def log_metrics(metrics: Mapping[str, float], step: int = 0) -> None:
    """Write metrics of a step to the run of this process, if there is one."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        import mlflow

        with _warned():
            if mlflow.active_run():
                mlflow.log_metrics(dict(metrics), step)


def flatten(values: Mapping[str, Any], separator: str) -> dict[str, Any]:
    """Nested dictionaries as one, by path."""
    (flat,) = pd.json_normalize(dict(values), sep=separator).to_dict("records")
    return {str(path): value for path, value in flat.items()}


def _start(workspace: Path, name: str, parameters: Mapping[str, Any]) -> None:
    import mlflow

    # Tables, experiment and parent run are created once.
    with file_lock(workspace.parent / "mlflow.lock"):
        client, found = mlflow.MlflowClient(), mlflow.get_experiment_by_name(EXPERIMENT)
        artifacts = (settings.load_settings().mlflow / "artifacts").as_uri()
        experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT, artifacts)
        runs = client.search_runs([experiment], f"attributes.run_name = '{workspace.name}'", max_results=1)
        parent = (runs[0] if runs else client.create_run(experiment, run_name=workspace.name)).info.run_id
    if name:
        mlflow.start_run(experiment_id=experiment, run_name=name, parent_run_id=parent)
    else:
        mlflow.start_run(parent)
    mlflow.log_params({path: str(value)[:500] for path, value in parameters.items()})


@contextmanager
def _warned() -> Iterator[None]:
    """Turn an error of the store into a warning, and end the record of this run."""
    import mlflow

    try:
        yield
    except Exception as error:
        print(f"warning: MLflow has no further record of this run: {str(error).splitlines()[0]}", file=sys.stderr)
        with suppress(Exception):
            mlflow.end_run("FAILED")
