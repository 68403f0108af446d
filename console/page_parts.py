"""Shared parts of the console's pages: templates of the console and of reports, and links to reports and MLflow's runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from config.settings import Settings
from training.evaluation.report import charts
from web import create_environment

REPORTS = {
    "evaluation": ("reports/evaluation.html", "evaluation"),
    "experiment": ("reports/experiment.html", "experiment"),
    "landed": ("reports/data_docs/landed/outcome.html", "data docs of landed events"),
    "marts": ("reports/data_docs/marts/outcome.html", "data docs of marts"),
    "content": ("reports/data_docs/content/outcome.html", "data docs of content"),
    "dbt": ("dbt/target/static_index.html", "dbt docs"),
    "skew": ("reports/skew.json", "skew"),
}
"""Name → file below SEGUE_HOME, link text."""


def report_links(settings: Settings, *names: str) -> list[dict[str, str]]:
    """Links to the reports that exist."""
    found = (REPORTS[name] for name in names)
    return [{"url": f"/{file}", "text": text} for file, text in found if (settings.home / file).exists()]


EXPERIMENT = "segue"  # as `training.mlflow_tracking` names it


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


_ENVIRONMENT = create_environment(Path(__file__).parent / "templates", charts.TEMPLATES)
_ENVIRONMENT.filters["of_100"] = charts.of_100


def render(template: str, **context: Any) -> str:
    """HTML page of a template; all values are escaped."""
    return _ENVIRONMENT.get_template(template).render(**context)
