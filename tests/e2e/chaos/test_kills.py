"""`kill -9` of recommender, release commands and landing, at random moments under load.

With `tests/e2e/test_service_kills.py`, which kills the HTTP service, `make acceptance` kills 760 processes. Airflow, its
tasks and Celery workers are killed by `test_airflow_kills.py` and `test_compose.py`.
"""

import random
import shutil
import time

import duckdb
import pytest

from tests.support.chaos import checker, homes
from tests.support.chaos.checker import Ledger
from tests.support.chaos.event_path import EventPath
from tests.support.progress import Progress, sized
from tests.support.release_swap import RELEASE_A, RELEASE_B
from tests.support.tiers import acceptance_only
from training.release.pointer import Pointer

RECOMMENDER_KILLS = sized(560, 3)  # two thirds of recommenders of one home, a third of the release command
LANDING_KILLS = sized(160, 1)
PART = 20
pytestmark = [acceptance_only, pytest.mark.timeout(7200)]


def test_recommender_and_release_commands(template, tmp_path):
    progress = Progress("kills_of_recommender_and_release", RECOMMENDER_KILLS)
    for part, kills in progress.parts(PART):
        home = homes.copy_home(template, tmp_path / f"home{part}")
        chance, known, ledger = random.Random(part), homes.variables(home), Ledger()
        rounds, activated = (kills + 2) // 3, 0
        for number in range(rounds):
            running = homes.start_recommender(known, number, ledger)
            other = homes.start_recommender(known, rounds + number, Ledger())
            if chance.random() < 0.8:
                homes.wait_for(running, ledger, "started")
            pointer = Pointer(home / "bentoml" / "active.json")
            before, target = pointer.active, RELEASE_B if pointer.active == RELEASE_A else RELEASE_A
            release = homes.start_command(known, "training.release.__main__", "activate", target)
            homes.observe(running, ledger, chance.uniform(0, 3))
            release.kill()
            assert pointer.active in (before, target) and pointer.path.is_dir()
            activated += pointer.active == target
            homes.observe(running, ledger, chance.uniform(0, 1.5))
            for one in (running, other):
                one.kill()
                ledger.record(one.messages())
        homes.finish_and_check(known, ledger)
        inactive = RELEASE_B if pointer.active == RELEASE_A else RELEASE_A
        assert homes.run_command(known, "training.release.__main__", "activate", inactive) == 0
        assert pointer.active == inactive
        answers = sum(ledger.answers.values())
        progress.add(3 * rounds, events=len(ledger.acknowledged), answers=answers, activated=activated)
        shutil.rmtree(home)
    assert progress.counts["events"] > RECOMMENDER_KILLS and progress.counts["answers"] > 0
    progress.report(f"{RECOMMENDER_KILLS} kills, 0 lost, 0 duplicate, 0 mixed")


def write_events(home, events):
    """Write events to the store of a home; return their ids."""
    path = EventPath(home / "serving", lambda: time.time_ns() // 1000, users=50)
    for _ in range(0, events, 100):
        path.report(100)
    path.stop()
    return path.acknowledged


def landed_ids(home):
    files = f"{home}/landing/listening_events/*/*.parquet"
    return [row[0] for row in duckdb.sql(f"select event_id from read_parquet('{files}')").fetchall()]


def test_landing(tmp_path):
    progress = Progress("kills_of_landing", LANDING_KILLS)
    for part, kills in progress.parts(PART):
        home, chance = tmp_path / f"home{part}", random.Random(part)
        home.mkdir()
        ids, known = write_events(home, 2_000), homes.variables(home)
        landing = ("ingestion.land", "--events", "--home", str(home))
        for _ in range(kills):
            running = homes.start_command(known, *landing)
            running.connection.poll(homes.WAIT_S)
            time.sleep(chance.uniform(0, 0.4))
            running.kill()
        assert homes.run_command(known, *landing) == 0, (home / "commands.log").read_text()[-2000:]
        checker.check_ids("landing zone", landed_ids(home), ids)
        progress.add(kills, events=len(ids))
        shutil.rmtree(home)
    progress.report(f"{LANDING_KILLS} kills, 0 lost, 0 duplicate")
