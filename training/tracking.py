"""One MLflow run a fit, where MLFLOW_TRACKING_URI says where; nothing otherwise. Knows nothing about training."""

from __future__ import annotations

import os
from typing import Any

EXPERIMENT = "segue"


def log_fit(name: str, numbers: dict[str, Any], measures: dict[str, Any]) -> None:
    """Log a fit's numbers as parameters, what is a number in `measures` as metrics, and `history` by step."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    import mlflow

    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=name):
        mlflow.log_params({key: str(value)[:500] for key, value in numbers.items()})
        mlflow.log_metrics(_numbers(measures))
        for row in measures.get("history") or []:
            mlflow.log_metrics({key: row[key] for key in row if key != "step"}, step=int(row["step"]))


def _numbers(measures: dict[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, value in measures.items():
        if isinstance(value, dict):
            flat |= {f"{key}/{inner}": number for inner, number in _numbers(value).items()}
        elif isinstance(value, (int, float)) and value == value:  # noqa: PLR0124
            flat[key.replace("@", "_at_")] = float(value)
    return flat
