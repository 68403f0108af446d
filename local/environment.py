"""`python -m local.environment COMMAND ...`: runs a command as our services and tasks run it.

The programs installed with us come first on the path, every tool keeps its files below SEGUE_HOME, and none reports
usage.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from config.settings import Settings, load_settings, tool_environment


def environment(settings: Settings) -> dict[str, str]:
    """Variables of every program that we start."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Airflow gives a task's bash a socket as standard input. An outermost bash takes that for a remote login and reads
    # ~/.bashrc, which may put another Python first; one that lies two shells deep does not.
    own = {"PATH": path, "PYTHONUNBUFFERED": "1", "SHLVL": "2"}
    # What a program of ours loads is what it was started with, wherever the settings came from
    addresses = {
        "SEGUE_HOST": settings.host,
        "SEGUE_AIRFLOW_PORT": str(settings.airflow_port),
        "SEGUE_RECOMMENDER_PORT": str(settings.recommender_port),
        "SEGUE_MLFLOW_PORT": str(settings.mlflow_port),
        "SEGUE_PAGES_PORT": str(settings.console_port),
        "SEGUE_CONSUMER_PORT": str(settings.consumer_port),
    }
    return {**os.environ, **tool_environment(settings), **addresses, **own}


def main() -> None:
    """Become the command."""
    if len(sys.argv) < 2:
        raise SystemExit("which command? For example: python -m local.environment dbt build --project-dir dbt")
    variables = environment(load_settings())
    os.environ["PATH"] = variables["PATH"]  # where the next line looks for the program
    os.execvpe(sys.argv[1], sys.argv[1:], variables)  # noqa: S606


if __name__ == "__main__":
    main()
