"""`python -m local.environment COMMAND ...`: runs a command in the environment of the services and tasks.

In this environment the programs of the virtual environment come first on PATH, every tool stores its files below SEGUE_HOME,
and usage reporting is disabled.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from config.settings import Settings, load_settings
from config.tool_environment import tool_environment


def environment(settings: Settings) -> dict[str, str]:
    """Environment variables of every program that is started."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Airflow gives a task's bash a socket as standard input. A top-level bash takes that for a remote login and reads
    # ~/.bashrc, which may put another Python first on PATH; SHLVL=2 marks it as nested.
    process_variables = {"PATH": path, "PYTHONUNBUFFERED": "1", "SHLVL": "2"}
    # Child processes load the same settings, wherever the settings of this process came from.
    addresses = {
        "SEGUE_HOST": settings.host,
        "SEGUE_ALLOW_REMOTE": "yes" if settings.allow_remote else "no",
        "SEGUE_AIRFLOW_PORT": str(settings.airflow_port),
        "SEGUE_RECOMMENDER_PORT": str(settings.recommender_port),
        "SEGUE_MLFLOW_PORT": str(settings.mlflow_port),
        "SEGUE_CONSOLE_PORT": str(settings.console_port),
    }
    return {**os.environ, **tool_environment(settings), **addresses, **process_variables}


def main() -> None:
    """Replace this process with the command."""
    if len(sys.argv) < 2:
        raise SystemExit("a command is required, for example: python -m local.environment dbt build --project-dir dbt")
    variables = environment(load_settings())
    os.environ["PATH"] = variables["PATH"]  # execvpe looks for the program in the PATH of this process
    os.execvpe(sys.argv[1], sys.argv[1:], variables)  # noqa: S606


if __name__ == "__main__":
    main()
