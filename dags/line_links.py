"""Where a person sees what a task made: a button on the task's page in the UI.

Imports Airflow and the standard library only, as every file here.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import BaseOperatorLink

XCOM_PAGE = "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/xcom"
"""What Airflow itself keeps of a task, in the UI that asks."""
RESULT_PAGES = {
    "land_logs": "data#landings",
    "land_live_events": "data#landings",
    "validate_landed": "reports/data_docs/landed/outcome.html",
    "build_marts": "data#marts",
    "publish_marts": "data#marts",
    "document_marts": "dbt/target/static_index.html",
    "validate_marts": "reports/data_docs/marts/outcome.html",
    "apply_features": "data#features",
    "materialize": "data#features",
    "compare_features": "read/skew",
    "prepare": "data#models",
    "train_channel": "data#models",
    "train_container": "data#models",
    "train_head": "data#models",
    "train_ranker": "data#models",
    "evaluate": "reports/evaluation.html",
    "report_experiment": "reports/experiment.html",
    "release": "#releases",
    "set_release": "#releases",
    "request": XCOM_PAGE,
    "asked": XCOM_PAGE,
    "list_channels": XCOM_PAGE,
    "list_containers": XCOM_PAGE,
    "list_heads": XCOM_PAGE,
    "list_models": XCOM_PAGE,
    "list_rankers": XCOM_PAGE,
    **{f"announce_{noun}_ready": "/assets" for noun in ("events", "features", "models", "release")},
}
"""Task, its group left out ▸ page of the reading room (`console/server.py`), or of Airflow's UI where it begins with `/`."""


class ResultLink(BaseOperatorLink):
    """The page of what a task made."""

    name = "What it made"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Its address."""
        page = RESULT_PAGES[operator.task_id.rpartition(".")[2]]
        if page.startswith("/"):
            return page.format(dag_id=ti_key.dag_id, run_id=ti_key.run_id, task_id=ti_key.task_id)
        host = os.environ.get("SEGUE_HOST") or "127.0.0.1"
        # In a container we listen everywhere; a person is on the machine whose loopback the ports are published on.
        reached = "localhost" if host == "0.0.0.0" else host
        return f"http://{reached}:{os.environ.get('SEGUE_PAGES_PORT') or 8090}/{page}"


def add_result_link(made: Any) -> Any:
    """What a decorated function returned, its task with the link."""
    made.operator.operator_extra_links = (ResultLink(),)
    return made
