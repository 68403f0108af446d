"""### Refit, gate and release

Refits what validation chose on everything through `as_of`, for as long as validation chose, and releases it whole if
the slate on held-out requests is no worse than the release in service and the best memory. A release that does not pass
stops here and says why; the one in service goes on. The same inputs give the same release: the task says "unchanged".

Against the gate: `python -m training.release --force --reason "…"`. Back, or for a share of the users: `set_release`.
"""

from airflow.sdk import DAG, PartitionedAssetTimetable, chain
from line import MODELS, RELEASE, arguments
from line_tasks import announce, command, list_models, request, train_every

with DAG("release_models", schedule=PartitionedAssetTimetable(assets=MODELS), **arguments("release_models", __doc__)):
    asked = request(are_events_landed=True)
    release = command(
        "release",
        'python -m training.release --as-of "$AS_OF" --recipe "$RECIPE"',
        "Puts the refitted models through the gate and into the model store; the recommender swaps to them by itself.",
        asked,
    )
    tables = list_models(asked)
    channels, containers, rankers, heads = (
        train_every(kind, asked, tables, fit="final") for kind in ("channel", "container", "ranker", "head")
    )
    chain(asked, [channels, rankers], release, announce(RELEASE, asked))
    chain(channels, [containers, heads], release)
