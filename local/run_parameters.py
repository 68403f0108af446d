"""Parameters of a run of the pipeline, from the command line of `make run` and `make pipeline`."""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from config.settings import ROOT
from dags.task_catalog import RECIPES


@dataclass(frozen=True)
class RunParameters:
    """Parameters of a run; the same four as the Params of the DAGs."""

    logs: str | None = None  # file or folder; None: landed logs or the simulated world
    recipe: str = "small"
    as_of: str | None = None  # ISO date; None: the day after the newest landed event
    channels: tuple[str, ...] = ()  # recall channels to train; empty: all


class StepError(BaseException):
    """A task failed; the message names it, the end of its log and the remedy.

    Not an `Exception`, because Airflow would catch it and go on with the tasks that do not need the failed one.
    """


def build_dag_conf(parameters: RunParameters) -> dict[str, Any]:
    """Params of the run, as the trigger form of the UI sends them."""
    return {
        "as_of": parameters.as_of,
        "recipe": parameters.recipe,
        "channels": list(parameters.channels) or None,
        "logs": parameters.logs,
    }


def check_channels(parameters: RunParameters, variables: dict[str, str]) -> None:
    """Check that every requested channel exists; skipped if none is requested, because listing them takes seconds.

    Raises:
        StepError: A requested channel does not exist.
    """
    if not parameters.channels:
        return
    command = ["training.train", "list", "all", "--recipe", parameters.recipe]
    available = json.loads(read_last_output_line(command, variables))["channels"]
    if unknown := [name for name in parameters.channels if name not in available]:
        raise StepError(
            f"unknown channel {', '.join(unknown)}; set CHANNELS to some of {', '.join(available)}, or omit it"
        )


def read_last_output_line(module: list[str], variables: dict[str, str]) -> str:
    """Last line that `python -m MODULE ...` prints.

    Raises:
        StepError: The command failed; the message contains its standard error.
    """
    process = subprocess.run(
        ["python", "-m", *module], env=variables, cwd=ROOT, check=False, capture_output=True, text=True
    )
    if process.returncode:
        raise StepError(f"python -m {' '.join(module)} failed: {process.stderr.strip()[-2000:]}")
    return process.stdout.splitlines()[-1]


def parse_run_parameters(parser: argparse.ArgumentParser, arguments: list[str] | None) -> RunParameters:
    """Parameters from the command line; empty values count as not given, because make passes them."""
    parser.add_argument("--logs", default="", help="file or folder of listening logs (default: the simulated world)")
    parser.add_argument("--recipe", default="small", choices=RECIPES, help="size of models and simulated world")
    parser.add_argument("--as-of", default="", help="YYYY-MM-DD (default: the day after the newest event)")
    parser.add_argument("--channels", default="", help="recall channels to train, separated by spaces (default: all)")
    options = parser.parse_args(arguments)
    logs = str(Path(options.logs).expanduser().resolve()) if options.logs else None
    if logs and not Path(logs).exists():
        parser.error(f"there are no logs at {logs}; give an existing file or folder, or omit LOGS")
    if options.as_of and not _is_iso_date(options.as_of):
        parser.error(f"{options.as_of!r} is not a date; write AS_OF as 2026-06-30, or omit it")
    return RunParameters(logs, options.recipe, options.as_of or None, tuple(options.channels.split()))


def _is_iso_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
