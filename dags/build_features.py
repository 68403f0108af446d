"""### Build features from landed events

dbt builds the marts (sessions, full plays, skips), Great Expectations validates them, and Feast serves them as features. A
failed test or expectation stops the pipeline here and is named in the task's log; the active release keeps serving.
Audio, covers and texts of tracks are encoded into vectors meanwhile, by one mapped task per encoder.

Waits while models of another day are trained, because the marts belong to one day. Then **train_models** starts.
"""

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, chain, task
from dag_defaults import EVENTS, FEATURES, build_dag_arguments
from task_catalog import format_task_documentation
from task_factory import (
    Command,
    create_asset_event_task,
    create_command_task,
    create_encoding_task,
    resolve_run_parameters,
)

DOWNSTREAM_DAGS = ("train_models", "release_models")


@task.sensor(mode="reschedule", poke_interval=15, timeout=24 * 3600, doc_md=format_task_documentation("marts_are_free"))
def marts_are_free(ti: Any = None) -> bool:
    """True if no downstream DAG has a queued or running run."""
    return sum(ti.get_dr_count(dag_id, states=["queued", "running"]) for dag_id in DOWNSTREAM_DAGS) == 0


with DAG(
    "build_features",
    schedule=PartitionedAssetTimetable(assets=EVENTS),
    **build_dag_arguments("build_features", __doc__),
):
    run_parameters = resolve_run_parameters(are_events_landed=True)
    validate_landed, build_marts, publish_marts, document_marts, validate_marts, validate_content, compare_features = (
        create_command_task(name, run_parameters)
        for name in (
            *("validate_landed", "build_marts", "publish_marts", "document_marts", "validate_marts"),
            *("validate_content", "compare_features"),
        )
    )
    apply_features, materialize = (
        create_command_task(name, run_parameters, operator=Command) for name in ("apply_features", "materialize")
    )
    chain(run_parameters, validate_landed, marts_are_free(), build_marts, [publish_marts, document_marts])
    # Feature definitions do not depend on the marts; only their values wait for validation.
    features_ready = create_asset_event_task(FEATURES, run_parameters)
    chain(publish_marts, [validate_marts, apply_features], materialize, features_ready)
    chain(publish_marts, create_encoding_task("encode_content", run_parameters), validate_content, features_ready)
    # A leaf: skew in yesterday's requests must not block the release that may correct it.
    apply_features >> compare_features
