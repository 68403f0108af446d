"""### Train recall channels and rankers

One mapped task per recall channel, kind of collection (playlists, mlogs) and ranker, from the tables in `recommender/recall` and
`recommender/ranking`, without the rankers that the recipe excludes. Collections and heads run after the channels: collections use
the vectors of a channel, heads learn from the channels' candidates.
Models are fitted on the train part and tuned on validation.
`report_experiment` compares the arms of the newest experiment.

A killed training resumes from its last checkpoint; a task with unchanged inputs logs "unchanged".
Then **release_models** starts.
"""

from airflow.sdk import DAG, PartitionedAssetTimetable, chain
from dag_defaults import FEATURES, MODELS, build_dag_arguments
from task_factory import (
    create_all_training_tasks,
    create_asset_event_task,
    create_command_task,
    resolve_run_parameters,
)

with DAG(
    "train_models", schedule=PartitionedAssetTimetable(assets=FEATURES), **build_dag_arguments("train_models", __doc__)
):
    run_parameters = resolve_run_parameters(are_events_landed=True)
    prepare = create_command_task("prepare", run_parameters)
    trained = create_asset_event_task(MODELS, run_parameters)
    # A leaf: a fault in the served experiment must not block the models that may correct it.
    run_parameters >> create_command_task("report_experiment", run_parameters)
    channels, collections, rankers, heads = create_all_training_tasks(run_parameters, fit="held_out")
    chain(run_parameters, prepare, [channels, rankers], trained)
    chain(channels, [collections, heads], trained)
