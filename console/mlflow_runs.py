"""Address of the page of MLflow that lists the runs of Segue's experiment."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from config.settings import Settings

EXPERIMENT = "segue"  # as `training.engine.mlflow_tracking` names it


def runs_url(settings: Settings) -> str:
    """URL of the list of runs; MLflow's start page before the first run."""
    address = settings.url(settings.mlflow_port)
    try:
        database = f"file:{settings.mlflow / 'mlflow.db'}?mode=ro"
        with closing(sqlite3.connect(database, uri=True, timeout=1)) as connection:
            row = connection.execute("select experiment_id from experiments where name = ?", [EXPERIMENT]).fetchone()
    except sqlite3.Error:  # there is no database yet, or it is locked
        row = None
    return f"{address}/#/experiments/{row[0]}/runs" if row else address
