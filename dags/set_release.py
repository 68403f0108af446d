"""### Put a release into service, or take it out

Runs `python -m training.release` with what is asked, as a person would; the recommender follows within a second.

| action | release | share | |
|---|---|---|---|
| `list` | | | says in the log what is in service and what could be |
| `canary` | its id | 0 to 1 | beside the release in service for a share of the users; 0 ends the share |
| `activate` | its id | | for everybody; shares end |
| `rollback` | | | the release before for everybody; shares end |

No part of the line: nothing starts it but a person. A call that is wrong (an unknown id, shares above 1) changes nothing;
the task fails and says why.
"""

from typing import Any

from airflow.sdk import DAG, Param, task
from line import DAG_ARGUMENTS
from line_links import add_result_link
from line_remedies import format_task_documentation
from line_tasks import create_command_task

PARAMS = {
    "action": Param(
        "list",
        enum=["list", "canary", "activate", "rollback"],
        title="Action",
        description="What to do; the table above says what each needs.",
    ),
    "release": Param(
        None,
        type=["null", "string"],
        pattern="^[A-Za-z0-9_-]{1,64}$",
        title="Release",
        description="Id of a release in the store, for canary and activate.",
    ),
    "share": Param(
        None, type=["null", "number"], minimum=0, maximum=1, title="Share", description="Of the users, for canary."
    ),
}

# Not tried again when it was killed: a second rollback would go back one release more.
NO_RETRIES = {"params": PARAMS, "default_args": {**DAG_ARGUMENTS["default_args"], "retries": 0}}

with DAG("set_release", schedule=None, doc_md=__doc__, **DAG_ARGUMENTS | NO_RETRIES) as dag:

    @task(
        doc_md=format_task_documentation(
            "ACTION, RELEASE and SHARE for the command's environment; empty where nothing was asked.", "asked"
        )
    )
    def read_parameters(params: Any = None) -> dict[str, str]:
        return {name.upper(): "" if params[name] is None else str(params[name]) for name in PARAMS}

    create_command_task(
        "set_release",
        'python -m training.release "$ACTION" ${RELEASE:+"$RELEASE"} ${SHARE:+--share "$SHARE"}',
        "Changes which releases the recommender answers with, and prints what is in service then.",
        add_result_link(read_parameters()),
    )
