"""### Put a release into service, or take it out

Runs `python -m releases` with the given Params; the recommender follows within a second.

| action | release | share | effect |
|---|---|---|---|
| `list` | | | prints the active release, the canaries and the releases in the store |
| `canary` | id | 0 to 1 | serves the release to a share of the users; 0 ends the canary |
| `end` | | | ends the experiment: all users get the active release |
| `activate` | id | | serves the release to all users; ends canaries |
| `rollback` | | | serves the previous release to all users; ends canaries |

This DAG is not part of the pipeline and is only triggered manually. An invalid call (an unknown id, shares above 1) changes
nothing; the task fails and says why.
"""

from typing import Any

from airflow.sdk import DAG, Param, task
from dag_defaults import DAG_ARGUMENTS
from task_catalog import format_task_documentation
from task_factory import create_command_task

PARAMS = {
    "action": Param(
        "list",
        enum=["list", "canary", "end", "activate", "rollback"],
        title="Action",
        description="Action; the table above lists its parameters.",
    ),
    "release": Param(
        None,
        type=["null", "string"],
        pattern="^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$",
        title="Release",
        description="Id of a release in the store, for canary and activate.",
    ),
    "share": Param(
        None,
        type=["null", "number"],
        minimum=0,
        maximum=1,
        title="Share",
        description="Share of the users, for canary.",
    ),
}

# A killed command is not retried: a second rollback would go back one release further.
NO_RETRIES = {"params": PARAMS, "default_args": {**DAG_ARGUMENTS["default_args"], "retries": 0}}

with DAG("set_release", schedule=None, doc_md=__doc__, **DAG_ARGUMENTS | NO_RETRIES) as dag:

    @task(doc_md=format_task_documentation("read_parameters"))
    def read_parameters(params: Any = None) -> dict[str, str]:
        return {name.upper(): "" if params[name] is None else str(params[name]) for name in PARAMS}

    create_command_task("set_release", read_parameters())
