"""### Train recall channels and rankers, and compare them

One mapped task a recall channel, a kind of container (playlists, mlogs) and a ranker, straight from the tables in
`training/recall` and `training/ranking`, less the rankers that the recipe leaves out. Containers come after the channels,
for they have the vectors of one, and so do the heads that all rankers share, for they learn from the channels' candidates.
They learn from the train part only and are chosen on validation; `evaluate` scores the test part once and writes the
report. Beside them `report_experiment` compares what listeners were shown.

A killed training goes on from its last checkpoint; a task whose inputs did not change says "unchanged".
Then **release_models** starts.
"""

from airflow.sdk import DAG, PartitionedAssetTimetable, chain
from line import FEATURES, MODELS, build_dag_arguments
from line_tasks import (
    create_asset_event_task,
    create_command_task,
    create_model_list_task,
    create_parameters_task,
    create_training_tasks,
)

with DAG(
    "train_models", schedule=PartitionedAssetTimetable(assets=FEATURES), **build_dag_arguments("train_models", __doc__)
):
    run_parameters = create_parameters_task(are_events_landed=True)
    prepare = create_command_task(
        "prepare",
        'python -m training.prepare --as-of "$AS_OF" --recipe "$RECIPE"',
        "Reads the marts once, builds the vocabulary, and notes the hash of everything that training reads.",
        run_parameters,
    )
    evaluate = create_command_task(
        "evaluate",
        'python -m training.evaluate --as-of "$AS_OF" --recipe "$RECIPE"',
        "Compares every channel, the fused order, the memories and the rankers on the test part; writes the report.",
        run_parameters,
    )
    # Beside the line, not in it: what is wrong with what was served must not hold up the models that may mend it.
    report_experiment = create_command_task(
        "report_experiment",
        "python -m training.experiments compare",
        "Compares the releases that listeners were shown; fails where users are not divided as asked.",
        run_parameters,
    )
    run_parameters >> report_experiment
    tables = create_model_list_task(run_parameters)
    channels, containers, rankers, heads = (
        create_training_tasks(kind, run_parameters, tables, fit="held_out")
        for kind in ("channel", "container", "ranker", "head")
    )
    chain(run_parameters, prepare, [channels, rankers], evaluate, create_asset_event_task(MODELS, run_parameters))
    chain(channels, [containers, heads], evaluate)
