"""MLflow tracking: one run per fit, with its config as parameters and its measures as metrics.

Importing MLflow and opening its store takes several seconds of processor time, so fits do not log themselves: the tasks
that follow them, `training.evaluate` and `training.release`, log all fits that have no run yet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from config import settings
from training.engine.workspace import INPUTS_FILE, MEASURES_FILE, RESOLVED_CONFIG_FILE, Workspace
from training.recipes import FITS

EXPERIMENT = "segue"
RUN_FILE = "mlflow_run"
"""File in the folder of a fitted model with the id of its MLflow run; a new fit removes it."""


def log_fits(workspace: Workspace) -> int:
    """Log every finished fit without a run, if MLFLOW_TRACKING_URI is set; returns the number of new runs."""
    measures = [file for fit in FITS for file in sorted(workspace.fit_folder(fit).glob(f"*/*/{MEASURES_FILE}"))]
    folders = [file.parent for file in measures if not (file.parent / RUN_FILE).exists()]
    folders = [folder for folder in folders if (folder / INPUTS_FILE).exists()]
    if folders and os.environ.get("MLFLOW_TRACKING_URI"):
        open_experiment()
        for folder in folders:
            (folder / RUN_FILE).write_text(_log_fit(folder))
        return len(folders)
    return 0


def _log_fit(folder: Path) -> str:
    """Log the fit in `folder`, with the times at which it ran; returns the id of the run.

    Parameters are the resolved config, metrics the numbers in the measures and, by step, the rows of their `history`.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    measures = json.loads((folder / MEASURES_FILE).read_text())
    parameters = json.loads((folder / RESOLVED_CONFIG_FILE).read_text())
    ended_ms = int((folder / INPUTS_FILE).stat().st_mtime * 1000)
    client = MlflowClient()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    fit, kind = folder.parent.parent.name, folder.parent.name.removesuffix("s")
    run = client.create_run(
        experiment.experiment_id,
        start_time=ended_ms - int(measures["total_seconds"] * 1000),
        run_name=f"{kind}-{folder.name}-{fit}",
    )
    steps: Iterable[tuple[int, dict[str, Any]]] = [
        (0, measures),
        *((int(row["step"]), {key: row[key] for key in row if key != "step"}) for row in measures.get("history") or ()),
    ]
    client.log_batch(
        run.info.run_id,
        [Metric(key, value, ended_ms, step) for step, row in steps for key, value in _flatten_metrics(row).items()],
        [Param(key, str(value)[:500]) for key, value in parameters.items()],
    )
    client.set_terminated(run.info.run_id, end_time=ended_ms)
    return str(run.info.run_id)


def open_experiment() -> None:
    """Select Segue's experiment, creating it on first use with its artifacts below `SEGUE_HOME/mlflow`."""
    import mlflow
    from mlflow.exceptions import MlflowException

    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        try:
            mlflow.create_experiment(EXPERIMENT, (settings.load_settings().mlflow / "artifacts").as_uri())
        except MlflowException as error:
            # A concurrent task may have created it in the meantime.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    mlflow.set_experiment(EXPERIMENT)


def _flatten_metrics(measures: dict[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, value in measures.items():
        if isinstance(value, dict):
            flat |= {f"{key}/{inner}": number for inner, number in _flatten_metrics(value).items()}
        elif isinstance(value, (int, float)) and value == value:  # noqa: PLR0124
            flat[key.replace("@", "_at_")] = float(value)
    return flat
