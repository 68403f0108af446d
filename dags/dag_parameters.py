"""What the four DAGs of the line have in common: the Params, the assets that tie them, and how they run.

Imports Airflow and the standard library only, as every file here.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, Param
from line_remedies import DAG_REMEDY_DOC

EVENTS, FEATURES, MODELS, RELEASE = (Asset(f"{noun}_ready") for noun in ("events", "features", "models", "release"))

PARAMS = {
    "as_of": Param(
        None,
        type=["null", "string"],
        format="date",
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        title="As of",
        description="Nothing known on or after this UTC day is used. Empty: the day after the newest landed event.",
    ),
    "recipe": Param(
        "small",
        enum=["debug", "small", "full"],
        title="Recipe",
        description="Size of models and simulated world: debug (a minute), small (a laptop), full (a server).",
    ),
    "channels": Param(
        None,
        type=["null", "array"],
        items={"type": "string", "pattern": "^[a-z_]+$"},
        title="Channels",
        description="Recall channels to train, one a line. Empty: every channel of the table in training/recall.",
    ),
    "logs": Param(
        os.environ.get("SEGUE_LOGS"),
        type=["null", "string"],
        title="Logs",
        description="File or folder of listening logs. Empty: what is landed already, or else the simulated world.",
    ),
}

PIPELINE_DAGS = ("ingest_listening_logs", "build_features", "train_models", "release_models")

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
    """What DAG() is told besides its id and schedule; its place in the line shows in the UI, which sorts by name."""
    doc_md = f"{doc}{DAG_REMEDY_DOC}"
    return {"dag_display_name": f"{PIPELINE_DAGS.index(dag_id) + 1} {dag_id}", "doc_md": doc_md, **DAG_ARGUMENTS}
