"""### Remove what is older than its lifetime

Runs `python -m local.retention` once a week: landed and recorded logs, training workspaces, releases, MLflow runs and report
pages, each with a lifetime of its own (`SEGUE_KEEP_*_DAYS`). What a served release, a rollback or a run for an earlier day needs
stays. With `dry_run` the task prints what would be removed and changes nothing.

This DAG is not part of the pipeline. Waits until no task of the pipeline runs.

#### When a task fails
Open the failed task: the last line of its log says how to correct the failure. What was removed until then stays removed; the
next run removes the rest.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param, task
from dag_defaults import DAG_ARGUMENTS
from task_catalog import format_task_documentation
from task_factory import create_command_task

PARAMS = {
    "dry_run": Param(
        False, type="boolean", title="Dry run", description="Print what would be removed and change nothing."
    )
}

with DAG(
    "prune_data",
    schedule=CronTriggerTimetable("0 4 * * 0", timezone="UTC", run_immediately=timedelta(0)),
    doc_md=__doc__,
    **DAG_ARGUMENTS | {"params": PARAMS},
):

    @task(doc_md=format_task_documentation("read_parameters"))
    def read_parameters(params: Any = None) -> dict[str, str]:
        return {"DRY_RUN": "yes" if params["dry_run"] else ""}

    create_command_task("prune", read_parameters())
