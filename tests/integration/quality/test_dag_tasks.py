"""An invalid table fails the task of its stage in the DAG, which logs the expectation; other stages pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from config import settings
from local.environment import environment
from tests.support.quality_home import AS_OF, EVENTS, ROWS, write_home, write_landing, write_mart

RUN = """
import logging, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException

logging.basicConfig(level=logging.INFO, stream=sys.stdout)
folder, as_of, *task_ids = sys.argv[1:]
sys.path.insert(0, folder)
dag = DagBag(folder).dags["build_features"]
for task_id in task_ids:
    task = dag.get_task(task_id)
    task.env = {"AS_OF": as_of}
    try:
        task.execute({})
    except AirflowFailException:
        print(f"{task_id} has failed for good")
    else:
        print(f"{task_id} has passed")
"""
TASKS = ("validate_landed", "validate_marts")


@pytest.mark.parametrize(
    ("failing", "named"),
    [
        ("validate_landed", "failed: expect_column_values_to_be_in_set(action)"),
        ("validate_marts", "failed: expect_column_values_to_be_between(duration_ms)"),
    ],
)
def test_failed_stage_fails_its_task_with_the_expectation(tmp_path: Path, failing: str, named: str) -> None:
    write_home(tmp_path)
    if failing == "validate_landed":
        write_landing(tmp_path, f"select * replace ('hum' as action) from ({EVENTS})")
    else:
        write_mart(tmp_path, "tracks", ROWS["tracks"].replace("1000 as", "-1 as", 1))
    here = settings.Settings(tmp_path, "127.0.0.1", 1, 1, 1, 1)
    variables = {**environment(here), "AIRFLOW_HOME": str(tmp_path / "airflow")}
    command = [sys.executable, "-c", RUN, str(settings.ROOT / "dags"), AS_OF, *TASKS]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    (passing,) = set(TASKS) - {failing}
    assert f"{failing} has failed for good" in printed
    assert f"{passing} has passed" in printed
    assert printed.count("failed: ") == 1
    assert named in printed
