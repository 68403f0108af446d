"""Building, killed at many moments and repeated, gives the same marts. Landing is killed by `chaos/test_kills.py`."""

import sys
import time
from contextlib import contextmanager

import pytest

from config.settings import ROOT
from ingestion.simulate import WorldSize, simulate
from tests.e2e.process_kills import home_environment, marts, run_and_kill
from tests.support.pipeline_commands import run_to_end
from tests.support.tiers import acceptance_only

AS_OF = "2026-07-01"
# Progress of a build when it is killed: started steps of dbt (first for half the days, then for all), published marts.
STARTED_STEPS = (range(1, 37), range(1, 37))
PUBLISHED_MARTS = range(1, 18)
pytestmark = [acceptance_only, pytest.mark.timeout(7200)]

BUILD = ["dbt", "build", "--project-dir", "dbt", "--vars", f"{{as_of: '{AS_OF}'}}"]
BUILD += ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Log of a simulated world of twenty days."""
    log = tmp_path_factory.mktemp("log")
    simulate(WorldSize(users=60, tracks=400, days=20), log)
    return log


@contextmanager
def first_days(log, later):
    """Only the first ten days are in the log. Its folder stays the same, because it names the media of the tracks."""
    days = sorted((log / "listening_events").glob("dt=*"))[10:]
    later.mkdir()
    for day in days:
        day.rename(later / day.name)
    yield
    for day in days:
        (later / day.name).rename(day)


@pytest.fixture(scope="module")
def undisturbed(log, tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed")
    run_to_end(land(log), home_environment(home))
    run_to_end(BUILD, home_environment(home))
    return home


def land(log):
    return [sys.executable, "-m", "ingestion.land", str(log)]


class Home:
    """Home in which commands are killed."""

    def __init__(self, home):
        self.home, self.log, self.variables = home, home / "killed.log", home_environment(home)

    def kill(self, command, moments):
        """Run the command once per moment and kill it then; at least one run must have been killed."""
        are_killed = [run_and_kill(command, self.variables, self.log, moment()) for moment in moments]
        assert any(are_killed), f"{command} always ended before it could be killed"

    def has_started(self, number):
        return lambda: lambda: self.log.read_bytes().count(b" START ") >= number

    def has_published(self, number):
        def moment():
            start = time.time()
            return lambda: (
                self._files("marts/[a-s]*.parquet", start) + self._files("marts/tr*.parquet", start) >= number
            )

        return moment

    def _files(self, pattern, since=0.0):
        return sum(file.stat().st_mtime >= since for file in self.home.glob(pattern))


def test_killed_builds_that_are_repeated_give_the_same_marts(log, undisturbed, tmp_path_factory, tmp_path):
    home = Home(tmp_path)
    with first_days(log, tmp_path_factory.mktemp("later") / "days"):
        run_to_end(land(log), home.variables)
        # Not completed: the next build continues from the partial state of these days.
        home.kill(BUILD, [home.has_started(number) for number in STARTED_STEPS[0]])

    run_to_end(land(log), home.variables)
    moments = [home.has_started(number) for number in STARTED_STEPS[1]]
    home.kill(BUILD, [*moments, *(home.has_published(number) for number in PUBLISHED_MARTS)])
    run_to_end(BUILD, home.variables)
    expected = marts(undisturbed)
    models = {file.stem for file in (ROOT / "dbt" / "models" / "marts").glob("*.sql")}
    assert expected.keys() == models - {"landings"} | {"behaviours"}  # a seed that is published too
    assert marts(tmp_path) == expected
