"""### Evaluate, refit, check against the gate, release

`evaluate` scores the test part once and writes the report. Meanwhile the channels are fitted again on all data before `as_of`, for the
number of steps that validation chose. Boosted trees, the network of long_short and the chosen ranker are kept, because newer data
hardly improves them. All are released as a unit if the slate on held-out requests is not worse than the active release's and the best
heuristic baseline's, and no behavioral test is below its floor and below the active release. A rejected release fails here with the
reason; the active release keeps serving. Identical inputs give the identical release: the task logs "unchanged".

To override the gate, with the recipe and `as_of` of this run: `python -m local.environment python -m training.release --recipe RECIPE
--as-of DAY --force --reason "…"`. To roll back, or to release to a share of the users: `set_release`.
"""

import os

from airflow.sdk import DAG, PartitionedAssetTimetable, TriggerRule, chain
from dag_defaults import MODELS, RELEASE, build_dag_arguments
from task_factory import (
    EVALUATION_PRIORITY,
    create_all_training_tasks,
    create_asset_event_task,
    create_command_task,
    resolve_run_parameters,
)

with DAG(
    "release_models",
    schedule=PartitionedAssetTimetable(assets=MODELS),
    **build_dag_arguments("release_models", __doc__),
):
    run_parameters = resolve_run_parameters(are_events_landed=True)
    evaluate = create_command_task("evaluate", run_parameters, priority=EVALUATION_PRIORITY)
    behavior = create_command_task("measure_behavior", run_parameters)
    release = create_command_task("release", run_parameters)
    channels, collections, rankers, heads = create_all_training_tasks(run_parameters, fit="final")
    # The evaluation chooses the ranker.
    chain(run_parameters, evaluate, rankers, behavior, release, create_asset_event_task(RELEASE, run_parameters))
    chain(run_parameters, channels, [collections, heads], behavior)
    if os.environ.get("SEGUE_SUBSONIC_URL"):
        playlists = create_command_task("write_playlists", run_parameters)
        playlists.trigger_rule = TriggerRule.ALL_DONE
        chain(release, playlists)
