"""Parameters of a run of the pipeline, from the command line of `make run` and `make pipeline`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

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
    channels = tuple(options.channels.split())
    if channels:
        from recommender.recall.registry import CHANNELS  # takes seconds

        if unknown := [name for name in channels if name not in CHANNELS]:
            parser.error(
                f"unknown channel {', '.join(unknown)}; set CHANNELS to some of {', '.join(CHANNELS)}, or omit it"
            )
    return RunParameters(logs, options.recipe, options.as_of or None, channels)


def _is_iso_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
