"""### Turn landed events into features

dbt says what the logs mean (sessions, full plays, skips, the marts), Great Expectations says whether they may pass, and
Feast makes them features. A failed test or expectation stops the line here and names itself in the task's log; the
release in service goes on serving.

Waits while models of another day are trained, because the marts belong to one day. Then **train_models** starts.
"""

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, chain, task
from line import EVENTS, FEATURES, build_dag_arguments
from line_remedies import format_task_documentation
from line_tasks import Command, create_asset_event_task, create_command_task, create_parameters_task

DOWNSTREAM_DAGS = ("train_models", "release_models")


@task.sensor(
    mode="reschedule",
    poke_interval=15,
    timeout=24 * 3600,
    doc_md=format_task_documentation(
        "Waits while models are trained or released from the marts of before.", "marts_are_free"
    ),
)
def marts_are_free(ti: Any = None) -> bool:
    """True when no later DAG has a run that is queued or running."""
    return sum(ti.get_dr_count(dag_id, states=["queued", "running"]) for dag_id in DOWNSTREAM_DAGS) == 0


with DAG(
    "build_features",
    schedule=PartitionedAssetTimetable(assets=EVENTS),
    **build_dag_arguments("build_features", __doc__),
):
    run_parameters = create_parameters_task(are_events_landed=True)
    build_marts = create_command_task(
        "build_marts",
        "dbt build --project-dir dbt --vars \"{as_of: '$AS_OF'}\"",
        "Builds and tests every dbt model and publishes the marts as Parquet.",
        run_parameters,
    )
    publish_marts = create_command_task(
        "publish_marts", "python -m local.publish", "Publishes what dbt could not.", run_parameters
    )
    document_marts = create_command_task(
        "document_marts",
        "dbt docs generate --project-dir dbt --static --no-compile",
        "Renders the dbt docs: every model, its columns, tests and lineage.",
        run_parameters,
    )
    validate_landed, validate_marts = (
        create_command_task(
            f"validate_{stage}",
            f'python -m quality.validate --as-of "$AS_OF" --stage {stage}',
            f"Holds {what} against their suites; renders their data docs. Failed expectations stand in the log.",
            run_parameters,
        )
        for stage, what in (("landed", "the newest landed events"), ("marts", "the published marts"))
    )
    apply_features = create_command_task(
        "apply_features",
        "feast -c feature_repo apply",
        "Registers entities, feature views and feature services.",
        run_parameters,
        operator=Command,
    )
    materialize = create_command_task(
        "materialize",
        'python -m sequences.online.materialize --as-of "$AS_OF"',
        "Writes every user's newest features and sequences to the online store.",
        run_parameters,
        operator=Command,
    )
    # Beside the line, not in it: what was served yesterday must not hold up the release that may mend it.
    compare_features = create_command_task(
        "compare_features",
        'python -m sequences.skew.compare --as-of "$AS_OF"',
        "Holds what the day's requests read online against what training reads for them; fails where they differ.",
        run_parameters,
    )
    chain(run_parameters, validate_landed, marts_are_free(), build_marts, [publish_marts, document_marts])
    # Which features there are the repository says, not the marts: only what they are worth waits for the suites.
    chain(
        publish_marts, [validate_marts, apply_features], materialize, create_asset_event_task(FEATURES, run_parameters)
    )
    apply_features >> compare_features
