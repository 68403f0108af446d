"""MLflow tracking: one run per fit if MLFLOW_TRACKING_URI is set, nothing otherwise."""

from __future__ import annotations

import os
from typing import Any

from config import settings

EXPERIMENT = "segue"


def log_fit(name: str, parameters: dict[str, Any], measures: dict[str, Any]) -> None:
    """Log a fit: its parameters, the numbers in `measures` as metrics, and the rows of `measures["history"]` by step."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    import mlflow

    open_experiment()
    with mlflow.start_run(run_name=name):
        mlflow.log_params({key: str(value)[:500] for key, value in parameters.items()})
        mlflow.log_metrics(_flatten_metrics(measures))
        for row in measures.get("history") or []:
            mlflow.log_metrics({key: row[key] for key in row if key != "step"}, step=int(row["step"]))


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
