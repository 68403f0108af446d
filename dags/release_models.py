"""### Refit, check against the gate, release

Refits the validated models on all data before `as_of`, for the number of steps that validation chose (boosted trees of the
validated fit are kept, except with recipe `full`), and releases them as a unit if
the slate on held-out requests is not worse than the active release's and the best heuristic baseline's, and no
behavioral test is below its floor and below the active release. A rejected
release fails here with the reason; the active release keeps serving. Identical inputs give the identical release: the
task logs "unchanged".

To override the gate, with the recipe and `as_of` of this run: `python -m local.environment python -m training.release --recipe RECIPE
--as-of DAY --force --reason "…"`. To roll back, or to release to a share of the users: `set_release`.
"""

import os

from airflow.sdk import DAG, PartitionedAssetTimetable, TriggerRule, chain
from dag_defaults import MODELS, RELEASE, build_dag_arguments
from task_factory import (
    create_all_training_tasks,
    create_asset_event_task,
    create_command_task,
    create_parameters_task,
)

with DAG(
    "release_models",
    schedule=PartitionedAssetTimetable(assets=MODELS),
    **build_dag_arguments("release_models", __doc__),
):
    run_parameters = create_parameters_task(are_events_landed=True)
    behavior = create_command_task("measure_behavior", run_parameters)
    release = create_command_task("release", run_parameters)
    channels, collections, rankers, heads = create_all_training_tasks(run_parameters, fit="final")
    chain(run_parameters, [channels, rankers], behavior, release, create_asset_event_task(RELEASE, run_parameters))
    chain(channels, [collections, heads], behavior)
    if os.environ.get("SEGUE_SUBSONIC_URL"):
        playlists = create_command_task("write_playlists", run_parameters)
        playlists.trigger_rule = TriggerRule.ALL_DONE
        chain(release, playlists)
