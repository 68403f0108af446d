"""### Turn landed events into features

dbt says what the logs mean (sessions, full plays, skips, the marts), Great Expectations says whether they may pass, and
Feast makes them features. A failed test or expectation stops the line here and names itself in the task's log; the
release in service goes on serving.

Waits while models of another day are trained, because the marts belong to one day. Then **train_models** starts.
"""

from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable, chain, task
from line import EVENTS, FEATURES, arguments
from line_remedies import documented
from line_tasks import Command, announce, command, request

LATER_DAGS = ("train_models", "release_models")


@task.sensor(
    mode="reschedule",
    poke_interval=15,
    timeout=24 * 3600,
    doc_md=documented("Waits while models are trained or released from the marts of before.", "marts_are_free"),
)
def marts_are_free(ti: Any = None) -> bool:
    """True when no later DAG has a run that is queued or running."""
    return sum(ti.get_dr_count(dag_id, states=["queued", "running"]) for dag_id in LATER_DAGS) == 0


with DAG("build_features", schedule=PartitionedAssetTimetable(assets=EVENTS), **arguments("build_features", __doc__)):
    asked = request(are_events_landed=True)
    build_marts = command(
        "build_marts",
        "dbt build --project-dir dbt --vars \"{as_of: '$AS_OF'}\"",
        "Builds and tests every dbt model and publishes the marts as Parquet.",
        asked,
    )
    publish_marts = command("publish_marts", "python -m local.publish", "Publishes what dbt could not.", asked)
    document_marts = command(
        "document_marts",
        "dbt docs generate --project-dir dbt --static --no-compile",
        "Renders the dbt docs: every model, its columns, tests and lineage.",
        asked,
    )
    validate_landed, validate_marts = (
        command(
            f"validate_{stage}",
            f'python -m quality.validate --as-of "$AS_OF" --stage {stage}',
            f"Holds {what} against their suites; renders their data docs. Failed expectations stand in the log.",
            asked,
        )
        for stage, what in (("landed", "the newest landed events"), ("marts", "the published marts"))
    )
    apply_features = command(
        "apply_features",
        "feast -c feature_repo apply",
        "Registers entities, feature views and feature services.",
        asked,
        operator=Command,
    )
    materialize = command(
        "materialize",
        'python -m sequences.materialize --as-of "$AS_OF"',
        "Writes every user's newest features and sequences to the online store.",
        asked,
        operator=Command,
    )
    # Beside the line, not in it: what was served yesterday must not hold up the release that may mend it.
    compare_features = command(
        "compare_features",
        'python -m sequences.skew --as-of "$AS_OF"',
        "Holds what the day's requests read online against what training reads for them; fails where they differ.",
        asked,
    )
    chain(asked, validate_landed, marts_are_free(), build_marts, [publish_marts, document_marts])
    # Which features there are the repository says, not the marts: only what they are worth waits for the suites.
    chain(publish_marts, [validate_marts, apply_features], materialize, announce(FEATURES, asked))
    apply_features >> compare_features
