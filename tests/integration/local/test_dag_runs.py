"""`make pipeline` runs the DAGs by `dag.test()`: order and parameters, retries, the first failure, interruption.

The DAGs run in a copy of their folder, next to modules that record the commands instead of running them.
"""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from config.settings import ROOT
from storage.files import atomic_write
from tests.support.waiting import wait_until

RUN = """
import sys
from pathlib import Path
from local import pipeline, run_parameters
pipeline.ROOT = run_parameters.ROOT = Path(sys.argv[1])
sys.exit(pipeline.main(sys.argv[2:]))
"""
PROCESS_LOCK = """
import json, os, sys, time
with open("commands", "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
print("output of", sys.argv[1])
if sys.argv[1] == os.environ.get("KILLED"):
    if open("commands").read().count(f'["{sys.argv[1]}"') == 1:
        os.kill(os.getpid(), 9)
if sys.argv[1] == os.environ.get("HANGING"):
    time.sleep(600)
sys.exit(sys.argv[1] == os.environ.get("FAILING"))
"""
MODULES = {
    "local/process_lock.py": PROCESS_LOCK,
    "ingestion/as_of.py": "print('2026-07-01')",
    "training/train.py": "import json\nprint(json.dumps({'channels': ['popularity', 'realtime'], 'collections': ['playlists'], "
    "'rankers': ['small'], 'heads': ['listened']}))",
}
TRAINED = {"train_channel_popularity", "train_collection_playlists", "train_head_listened", "train_ranker_small"}


class Pipeline:
    """The pipeline with recorded commands, in a home of its own."""

    def __init__(self, folder):
        self.root, self.home, self.processes = folder / "root", folder / "home", []
        shutil.copytree(ROOT / "dags", self.root / "dags")
        for name, source in MODULES.items():
            atomic_write(self.root / name, source)
            (self.root / name).with_name("__init__.py").touch()

    def start(self, *arguments, **variables):
        command = [sys.executable, "-c", RUN, str(self.root), "--recipe", "debug", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEGUE_HOME": str(self.home), **variables}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.processes.append(subprocess.Popen(command, env=environment, cwd=ROOT, **pipes))
        return self.processes[-1]

    def commands(self):
        """Lock and words of every command so far."""
        file = self.root / "commands"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def pipeline(tmp_path):
    pipeline = Pipeline(tmp_path)
    yield pipeline
    for process in pipeline.processes:
        process.kill()


def test_the_tasks_of_all_dags_run_in_order_with_the_parameters_of_the_run(pipeline, tmp_path):
    logs = tmp_path / "my logs; $HOME"
    logs.touch()
    process = pipeline.start("--logs", str(logs), "--channels", "popularity")
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, output + errors
    commands = pipeline.commands()
    assert commands[0][1:] == ["python", "-m", "local.land", "--logs", str(logs), "--recipe", "debug"]
    locks = [command[0] for command in commands]
    order = ["validate_landed", "build_marts", "validate_marts", "materialize", "prepare", "evaluate", "release"]
    assert [lock for lock in locks if lock in order] == order
    assert {f"encode_content_{encoder}" for encoder in ("audio", "image", "text")} <= set(locks)
    for part in (locks[: locks.index("evaluate")], locks[locks.index("evaluate") :]):
        assert {lock for lock in part if lock.startswith("train_")} == TRAINED
    days = [command[command.index("--as-of") + 1] for command in commands if "--as-of" in command]
    assert set(days) == {"2026-07-01"} and len(days) > 10
    assert not {"compare_features", "report_experiment"} & set(locks)
    assert "release_models  as_of 2026-07-01, recipe debug" in output
    assert "train_channel popularity " in output and "43 of 43  " in output and "output of" not in output


def test_a_killed_command_is_repeated_and_the_first_error_ends_the_run_with_its_log_and_remedy(pipeline):
    process = pipeline.start(KILLED="land_live_events", FAILING="validate_landed")
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 1, output + errors
    locks = [command[0] for command in pipeline.commands()]
    assert locks == ["land_logs", "land_live_events", "land_live_events", "validate_landed"]
    assert "… failed, will be retried (" in output and "… FAILED (" in output
    failure, *log, remedy = errors.splitlines()
    assert failure == f"error: validate_landed failed; {pipeline.home}/logs/pipeline.log ends with:"
    assert log == ["output of validate_landed"]
    assert remedy.startswith("What to do: The log and") and remedy.endswith("Then give the same command again.")


def test_an_interrupt_ends_the_running_command_and_another_run_waits_meanwhile(pipeline):
    first = pipeline.start(HANGING="land_logs")
    wait_until(pipeline.commands, "a command", 300)
    second = pipeline.start()
    assert second.stderr.readline().startswith("waiting: another `make pipeline` runs (process")
    second.kill()
    first.send_signal(signal.SIGTERM)
    _, errors = first.communicate(timeout=120)
    assert (first.returncode, errors) == (130, "\nstopped; the same command continues with the finished steps\n")
    assert "Sending SIGTERM signal to process group" in (pipeline.home / "logs" / "pipeline.log").read_text()
    assert len(pipeline.commands()) == 1
