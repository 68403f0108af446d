"""Airflow or a task is killed during the pipeline: the restarted run succeeds with the same marts. `make acceptance`."""

import shutil
import signal
import sys

import duckdb
import psutil
import pytest

from config import settings
from ingestion.simulate import WORLD_SIZES
from local import services
from local.environment import environment
from tests.e2e.installation import TIMEOUT_S, Installation
from tests.support.pipeline_commands import run_to_end
from tests.support.tiers import acceptance_only
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.timeout(3600),
    acceptance_only,
]
AS_OF = "2026-07-01"


def marts(home):
    """Columns with types and rows in published order of every mart, except `landings`, which has the times of landing."""
    return {
        file.stem: (duckdb.sql(f"describe select * from '{file}'").fetchall(), duckdb.sql(f"from '{file}'").fetchall())
        for file in sorted((home / "marts").glob("*.parquet"))
        if file.stem not in ("landings", "changed_users")
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Marts that were built by the same commands without Airflow."""
    home = tmp_path_factory.mktemp("undisturbed")
    world, variables = WORLD_SIZES["debug"], environment(settings.Settings(home=home))
    size = ["--users", str(world.users), "--tracks", str(world.tracks), "--days", str(world.days)]
    log = str(home / "log")
    run_to_end([sys.executable, "-m", "ingestion.simulate", *size, "--seed", str(world.seed), "--out", log], variables)
    run_to_end([sys.executable, "-m", "ingestion.land", log], variables)
    run_to_end(["dbt", "build", "--project-dir", "dbt", "--vars", f"{{as_of: '{AS_OF}'}}"], variables)
    return marts(home)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_SIMULATED_LAST_DAY", "2026-06-30")  # the day before AS_OF
        here = Installation(tmp_path_factory.mktemp("home"))
        try:
            here.start()
            yield here
        finally:
            here.stop()
            shutil.rmtree(here.settings.home, ignore_errors=True)


def has_started_models(here, number):
    """Function that is true once dbt has started `number` more models."""
    log = here.settings.home / "dbt" / "logs" / "dbt.log"
    before = log.read_bytes().count(b" START ") if log.exists() else 0
    return lambda: log.exists() and log.read_bytes().count(b" START ") >= before + number


def test_airflow_killed_while_marts_are_built_and_models_are_trained(here, undisturbed):
    is_building = has_started_models(here, 30)
    first = here.trigger()
    wait_until(is_building, "dbt", TIMEOUT_S)
    orphan = here.wait_for("dbt", "build")
    here.kill_airflow()
    here.start()
    assert not orphan.is_running()

    here.wait_for("training.train", "realtime", "held_out", seconds=3)
    here.kill_airflow()
    here.start()
    here.follow(first)
    assert marts(here.settings.home) == undisturbed
    assert all(service.is_ready(here.settings) for service in services.SERVICES)


def test_the_retry_waits_for_the_command_of_the_killed_task(here, undisturbed):
    first = here.trigger(as_of=AS_OF)
    wait_until(has_started_models(here, 5), "dbt", TIMEOUT_S)
    command = here.wait_for("dbt", "build")
    task = command.parent()
    assert task is not None
    command.suspend()  # so that it still runs when the retry starts
    task.send_signal(signal.SIGKILL)
    logs = here.settings.airflow / "logs"
    wait_until(
        lambda: any("waiting: another build_marts" in log.read_text() for log in logs.rglob("*.log")),
        "a waiting retry",
        TIMEOUT_S,
    )
    assert command.is_running() and command.status() == psutil.STATUS_STOPPED
    command.resume()
    here.follow(first)
    assert marts(here.settings.home) == undisturbed
