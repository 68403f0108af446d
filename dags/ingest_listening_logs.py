"""### Land the listening logs

Lands a log (`logs`; empty: logs that are already landed, otherwise the simulated world), the library of the music server if
there is one, and the events that the recommender recorded, all in the data contract. Landing is idempotent; rows that violate the
contract are stored in `quarantine/` with the reason. Runs every midnight UTC
and can be backfilled over past days; each day is a separate `as_of`.

Then **build_features** starts for the same day.
"""

import os
from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, chain
from dag_defaults import EVENTS, build_dag_arguments
from task_factory import create_asset_event_task, create_command_task, resolve_run_parameters

# The first scheduled run is at the next midnight, so that starting Airflow alone starts nothing. By default the timetable
# catches up on a midnight less than 2.4 hours ago, and a manually triggered run would have to wait for it.
EVERY_MIDNIGHT = CronTriggerTimetable("0 0 * * *", timezone="UTC", run_immediately=timedelta(0))

with DAG("ingest_listening_logs", schedule=EVERY_MIDNIGHT, **build_dag_arguments("ingest_listening_logs", __doc__)):
    run_parameters = resolve_run_parameters(are_events_landed=False)
    land_logs = create_command_task("land_logs", run_parameters)
    land_live_events = create_command_task("land_live_events", run_parameters)
    chain(land_logs, land_live_events, create_asset_event_task(EVENTS, run_parameters))
    if os.environ.get("SEGUE_SUBSONIC_URL"):
        chain(land_logs, create_command_task("land_server_library", run_parameters), land_live_events)
