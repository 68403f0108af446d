"""Default arguments (retries, owner, concurrency), Params and assets shared by the DAGs.

Imports Airflow and the standard library only, like every file in `dags/`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, Param
from task_catalog import DAG_REMEDY_DOC, PIPELINE_DAGS, RECIPES

EVENTS, FEATURES, MODELS, RELEASE = (Asset(f"{noun}_ready") for noun in ("events", "features", "models", "release"))

PARAMS = {
    "as_of": Param(
        None,
        type=["null", "string"],
        format="date",
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        title="As of",
        description="UTC day, at most tomorrow; data of this day and later is not used. Empty: the day after the newest landed event.",
    ),
    "recipe": Param(
        "small",
        enum=list(RECIPES),
        title="Recipe",
        description="Size of models and simulated world: debug (to try the pipeline), small (a laptop), full (a server).",
    ),
    "channels": Param(
        None,
        type=["null", "array"],
        items={"type": "string", "pattern": "^[a-z_]+$"},
        title="Channels",
        description="Recall channels to train, one per line. Empty: every channel of recommender/recall/registry.py.",
    ),
    "logs": Param(
        os.environ.get("SEGUE_LOGS"),
        type=["null", "string"],
        title="Logs",
        description="File or folder of listening logs. Empty: logs that are already landed, otherwise the simulated world.",
    ),
}

# One run of a DAG at a time, because its runs write the same marts and the same online store.
DAG_ARGUMENTS: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
    "is_paused_upon_creation": False,
    "params": PARAMS,
    "tags": ["segue"],
    "default_args": {"owner": "segue", "retries": 2, "retry_delay": timedelta(seconds=10)},
}


def build_dag_arguments(dag_id: str, doc: str | None) -> dict[str, Any]:
    """Arguments of `DAG` other than id and schedule. The display name starts with the position in the pipeline, because
    the UI sorts by name."""
    doc_md = f"{doc}{DAG_REMEDY_DOC}"
    return {"dag_display_name": f"{PIPELINE_DAGS.index(dag_id) + 1} {dag_id}", "doc_md": doc_md, **DAG_ARGUMENTS}
