"""`python -m local.pipeline --logs PATH --recipe NAME --as-of DAY`: runs the pipeline in order, without a scheduler.

Airflow runs the DAGs in this process (`local/dag_runs.py`), with a database that lasts as long as the run. The output of the
tasks goes to `SEGUE_HOME/logs/pipeline.log`; the first failed task ends the run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path

from config.command_line import report_errors
from config.settings import ROOT, SettingError, Settings, load_settings
from dags.task_failure import DISK_FULL_MB
from local.environment import environment
from local.home import HomeFormatError, check_home_format, restrict_access
from local.run_parameters import RunParameters, StepError, build_dag_conf, parse_run_parameters
from storage.file_lock import file_lock
from storage.files import DiskSpaceError, check_disk_space


def run(settings: Settings, parameters: RunParameters) -> None:
    """Run every task in order and print one line per task.

    Waits for another run in the same home. Changes the environment of this process.

    Raises:
        StepError: A task failed, so the remaining ones were not started.
        DiskSpaceError: The disk is too full for the output.
        HomeFormatError: Another version wrote the home.
    """
    check_disk_space(settings.home)
    restrict_access(settings.home)
    check_home_format(settings)
    variables = environment(settings)
    folder, log, terminal = settings.home / "run" / "pipeline", settings.logs / "pipeline.log", sys.stdout
    # Not *.lock, which belong to tasks
    with file_lock(folder.with_suffix(".running"), waiting="waiting: another `make pipeline` runs"):
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.update(variables | airflow_environment(folder))
        settings.logs.mkdir(parents=True, exist_ok=True)
        with log.open("w", buffering=1) as output, redirect_stdout(output):
            # Airflow reads the variables and opens the standard output as its log when it is imported
            from local.dag_runs import run_dags

            try:
                run_dags(build_dag_conf(parameters), terminal, log)
            except StepError:
                check_disk_space(settings.home, DISK_FULL_MB)  # on a full disk the log may lack the reason
                raise


def airflow_environment(home: Path) -> dict[str, str]:
    """Variables of an Airflow in this process, with its files in `home` and a log of the tasks' output."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOG_FORMAT": "%(message)s",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow=WARNING airflow.task=INFO task=CRITICAL",
    }


@report_errors(
    *(StepError, DiskSpaceError, HomeFormatError, SettingError),
    code=1,
    interrupted="stopped; the same command continues with the finished steps",
)
def main(arguments: list[str] | None = None) -> int:
    """Run the pipeline."""
    parser = argparse.ArgumentParser(prog="python -m local.pipeline", description="Run the pipeline in this process")
    parameters = parse_run_parameters(parser, arguments)
    settings = load_settings()
    print(f"Segue pipeline in {settings.home}")
    run(settings, parameters)
    print(f"released; serve it with: make serve  (report: {settings.reports / 'evaluation.html'})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
