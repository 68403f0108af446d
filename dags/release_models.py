"""### Refit, gate and release

Refits what validation chose on everything through `as_of`, for as long as validation chose, and releases it whole if
the slate on held-out requests is no worse than the release in service and the best memory. A release that does not pass
stops here and says why; the one in service goes on. The same inputs give the same release: the task says "unchanged".

Against the gate: `python -m training.release --force --reason "…"`. Back, or for a share of the users: `set_release`.
"""

from airflow.sdk import DAG, PartitionedAssetTimetable, chain
from line import MODELS, RELEASE, build_dag_arguments
from line_tasks import (
    create_asset_event_task,
    create_command_task,
    create_model_list_task,
    create_parameters_task,
    create_training_tasks,
)

with DAG(
    "release_models",
    schedule=PartitionedAssetTimetable(assets=MODELS),
    **build_dag_arguments("release_models", __doc__),
):
    run_parameters = create_parameters_task(are_events_landed=True)
    release = create_command_task(
        "release",
        'python -m training.release --as-of "$AS_OF" --recipe "$RECIPE"',
        "Puts the refitted models through the gate and into the model store; the recommender swaps to them by itself.",
        run_parameters,
    )
    tables = create_model_list_task(run_parameters)
    channels, containers, rankers, heads = (
        create_training_tasks(kind, run_parameters, tables, fit="final")
        for kind in ("channel", "container", "ranker", "head")
    )
    chain(run_parameters, [channels, rankers], release, create_asset_event_task(RELEASE, run_parameters))
    chain(channels, [containers, heads], release)
