"""Killed in the middle and run again, the line's data half ends in the same landed files and the same marts."""

import os
import shutil
import sys
import time

import pytest

from ingestion.simulate import WorldSize, simulate
from tests.e2e.process_kills import complete, home_environment, killed, landed, marts

AS_OF = "2026-07-01"
FULL = bool(os.environ.get("SEGUE_ACCEPTANCE"))
# How far a command has come when it is killed: files that it landed, steps that dbt began (first over half the days, then
# over all), marts that it published. `make acceptance` tries them all.
LANDED_FILES = range(1, 9) if FULL else (1, 8)
BEGUN_STEPS = (range(1, 37), range(1, 37)) if FULL else ((20,), (5,))
PUBLISHED_MARTS = range(1, 18) if FULL else (4,)
pytestmark = [pytest.mark.line, pytest.mark.timeout(7200 if FULL else 600)]

BUILD = ["dbt", "build", "--project-dir", "dbt", "--vars", f"{{as_of: '{AS_OF}'}}"]
BUILD += ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Twenty days of a simulated world."""
    log = tmp_path_factory.mktemp("log")
    simulate(WorldSize(users=60, tracks=400, days=20), log)
    return log


@pytest.fixture(scope="module")
def first_days(log, tmp_path_factory):
    """The same world, ten days earlier."""
    earlier = tmp_path_factory.mktemp("first_days")
    shutil.copytree(log, earlier, dirs_exist_ok=True)
    for day in sorted((earlier / "listening_events").glob("dt=*"))[10:]:
        shutil.rmtree(day)
    return earlier


@pytest.fixture(scope="module")
def undisturbed(log, tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed")
    complete(land(log), home_environment(home))
    complete(BUILD, home_environment(home))
    return home


def land(log):
    return [sys.executable, "-m", "ingestion.land", str(log)]


class Home:
    """A home in which nothing ends well the first time."""

    def __init__(self, home):
        self.home, self.log, self.variables = home, home / "killed.log", home_environment(home)

    def kill(self, command, moments):
        """Kills the command at each moment; one must have hit, or nothing was tried."""
        hits = [killed(command, self.variables, self.log, moment()) for moment in moments]
        assert any(hits), f"{command} was always done before"

    def has_landed(self, number):
        def moment():
            # The tables only: the landing's own `.scratch` folder goes away while one looks.
            tables = "landing/[a-z]*/dt=*/*.parquet"
            before = self._files(tables)
            return lambda: self._files(tables) >= before + number

        return moment

    def has_begun(self, number):
        return lambda: lambda: self.log.read_bytes().count(b" START ") >= number

    def has_published(self, number):
        def moment():
            began = time.time()
            return lambda: (
                self._files("marts/[a-s]*.parquet", began) + self._files("marts/tr*.parquet", began) >= number
            )

        return moment

    def _files(self, pattern, since=0.0):
        return sum(file.stat().st_mtime >= since for file in self.home.glob(pattern))


def test_killed_and_run_again_it_ends_in_the_same_files_and_marts(log, first_days, undisturbed, tmp_path):
    home = Home(tmp_path)
    home.kill(land(first_days), [home.has_landed(number) for number in LANDED_FILES])
    complete(land(first_days), home.variables)
    # What dbt made before it was killed is all that the next build knows of these days.
    home.kill(BUILD, [home.has_begun(number) for number in BEGUN_STEPS[0]])

    home.kill(land(log), [home.has_landed(number) for number in LANDED_FILES])
    complete(land(log), home.variables)
    assert landed(tmp_path) == landed(undisturbed)
    assert not list(tmp_path.glob("landing/**/*.tmp"))

    moments = [home.has_begun(number) for number in BEGUN_STEPS[1]]
    home.kill(BUILD, [*moments, *(home.has_published(number) for number in PUBLISHED_MARTS)])
    complete(BUILD, home.variables)
    expected = marts(undisturbed)
    assert len(expected) == 18
    assert marts(tmp_path) == expected
