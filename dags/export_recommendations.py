"""### Write the lists of all users

Runs `python -m serving.batch`: the list of a scene for every user, and the embeddings of users and items, as Parquet files in
`SEGUE_HOME/batch/<scene>/dt=<day>` with the day (UTC) of the run. The lists equal the responses of the recommender, which may run
or not.

This DAG is not part of the pipeline and is triggered by hand or through the REST API. To compute the lists of a day again, clear its
run.
"""

from datetime import UTC
from typing import Any

from airflow.sdk import DAG, Param, task
from dag_defaults import DAG_ARGUMENTS
from task_catalog import BATCH_SCENES, DAG_REMEDY_DOC, format_task_documentation
from task_factory import create_command_task

PARAMS = {
    "scene": Param(
        "daily", enum=list(BATCH_SCENES), title="Scene", description="Place in the product whose lists are written."
    ),
}

with DAG(
    "export_recommendations",
    schedule=None,
    doc_md=f"{__doc__}{DAG_REMEDY_DOC}",
    **DAG_ARGUMENTS | {"params": PARAMS},
) as dag:

    @task(doc_md=format_task_documentation("read_scene"))
    def read_scene(params: Any = None, dag_run: Any = None) -> dict[str, str]:
        return {"SCENE": params["scene"], "DAY": f"{dag_run.run_after.astimezone(UTC):%Y-%m-%d}"}

    create_command_task("write_lists", read_scene())
