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
from line import FEATURES, MODELS, arguments
from line_tasks import announce, command, list_models, request, train_every

with DAG("train_models", schedule=PartitionedAssetTimetable(assets=FEATURES), **arguments("train_models", __doc__)):
    asked = request(are_events_landed=True)
    prepare = command(
        "prepare",
        'python -m training.prepare --as-of "$AS_OF" --recipe "$RECIPE"',
        "Reads the marts once, builds the vocabulary, and notes the hash of everything that training reads.",
        asked,
    )
    evaluate = command(
        "evaluate",
        'python -m training.evaluate --as-of "$AS_OF" --recipe "$RECIPE"',
        "Compares every channel, the fused order, the memories and the rankers on the test part; writes the report.",
        asked,
    )
    # Beside the line, not in it: what is wrong with what was served must not hold up the models that may mend it.
    report_experiment = command(
        "report_experiment",
        "python -m training.experiment compare",
        "Compares the releases that listeners were shown; fails where users are not divided as asked.",
        asked,
    )
    asked >> report_experiment
    tables = list_models(asked)
    channels, containers, rankers, heads = (
        train_every(kind, asked, tables, fit="held_out") for kind in ("channel", "container", "ranker", "head")
    )
    chain(asked, prepare, [channels, rankers], evaluate, announce(MODELS, asked))
    chain(channels, [containers, heads], evaluate)
