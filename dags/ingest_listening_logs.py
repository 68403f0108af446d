"""### Land the listening logs

Lands a log (`logs`; empty: what is landed already, or else the built-in simulated listening world) and what the
recommender recorded, both in the data contract. Landing the same rows again changes nothing; what fails the contract
lies in `quarantine/` with the reason.
Runs every midnight UTC and can be backfilled over past days: each day becomes an `as_of` of its own.

Then **build_features** starts for the same day.
"""

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, chain
from line import EVENTS, build_dag_arguments
from line_tasks import create_asset_event_task, create_command_task, create_parameters_task

# The first scheduled run is the next midnight's: starting Airflow alone starts nothing. (Left to itself the timetable makes
# up for a midnight that is less than a tenth of a day ago, and whoever starts the line then waits for two.)
EVERY_MIDNIGHT = CronTriggerTimetable("0 0 * * *", timezone="UTC", run_immediately=timedelta(0))

with DAG("ingest_listening_logs", schedule=EVERY_MIDNIGHT, **build_dag_arguments("ingest_listening_logs", __doc__)):
    run_parameters = create_parameters_task(are_events_landed=False)
    land_logs = create_command_task(
        "land_logs",
        'python -m local.land --logs "$LOGS" --recipe "$RECIPE"',
        "Lands `logs`; where there are none and nothing was landed before, makes and lands the simulated world.",
        run_parameters,
    )
    land_live_events = create_command_task(
        "land_live_events",
        "python -m local.land --live",
        "Lands what listeners did with the recommender's answers: the loop closes here.",
        run_parameters,
    )
    chain(land_logs, land_live_events, create_asset_event_task(EVENTS, run_parameters))
