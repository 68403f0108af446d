"""### Land the listening logs

Lands a log (`logs`; empty: the built-in simulated listening world) and what the recommender recorded, both in the data
contract. Landing the same rows again changes nothing; what fails the contract lies in `quarantine/` with the reason.
Runs every midnight UTC and can be backfilled over past days: each day becomes an `as_of` of its own.

Then **build_features** starts for the same day.
"""

from airflow.sdk import DAG, chain
from line import DAG_ARGUMENTS, EVENTS
from line_tasks import announce, command, request

with DAG("ingest_listening_logs", schedule="@daily", doc_md=__doc__, **DAG_ARGUMENTS):
    asked = request(are_events_landed=False)
    land_logs = command(
        "land_logs",
        'exec python -m local.land --logs "$LOGS" --recipe "$RECIPE"',
        "Lands `logs`, or makes and lands the simulated world. Prints read, landed, duplicate and quarantined rows.",
        asked,
        retries=1,
    )
    land_live_events = command(
        "land_live_events",
        "exec python -m local.land --live",
        "Lands what listeners did with the recommender's answers: the loop closes here.",
        asked,
        retries=1,
    )
    chain(land_logs, land_live_events, announce(EVENTS, asked))
