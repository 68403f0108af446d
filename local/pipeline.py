"""`python -m local.pipeline --logs PATH --recipe NAME --as-of DAY`: runs the pipeline in order, without a scheduler.

The commands are those of the task table (`dags/task_catalog.py`), which the DAGs run too, with the same locks. The output of each step
goes to its own log in `SEGUE_HOME/logs/pipeline`; the first failed step ends the run.
"""

from __future__ import annotations

import argparse
import json
import shlex
import string
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from config.settings import ROOT, SettingError, Settings, load_settings
from dags.task_catalog import ENCODERS, MODEL_KINDS, RECIPES, TASKS
from dags.task_failure import DISK_FULL_MB
from local.environment import environment
from local.home import HomeFormatError, check_home_format, restrict_access
from storage.disk_space import DiskSpaceError, check_disk_space

LANDING_TASKS = ("land_logs", "land_live_events")
FEATURE_TASKS = (
    *("validate_landed", "build_marts", "publish_marts", "document_marts", "validate_marts"),
    *("encode_content", "validate_content", "apply_features", "materialize"),
)


@dataclass(frozen=True)
class Step:
    """One command of the pipeline."""

    name: str
    command: list[str]
    description: str
    remedy: str = ""  # what to correct after a failure


@dataclass(frozen=True)
class RunParameters:
    """Parameters of a run; the same four as the Params of the DAGs."""

    logs: str | None = None  # file or folder; None: landed logs or the simulated world
    recipe: str = "small"
    as_of: str | None = None  # ISO date; None: the day after the newest landed event
    channels: tuple[str, ...] = ()  # recall channels to train; empty: all


class StepError(RuntimeError):
    """A step failed; the message names it, the end of its log and the remedy."""


def create_step(task_name: str, name: str = "", prefix: str = "", **parameters: str) -> Step:
    """Step that runs a task of the task table.

    Args:
        task_name: Name in the task table.
        name: Name of the step if it differs from the task's.
        prefix: Put before the description.
        parameters: Values of the command's variables (AS_OF, RECIPE, ...).
    """
    task = TASKS[task_name]
    command = [string.Template(word).substitute(parameters) for word in shlex.split(task.locked_command)]
    return Step(name or task_name, command, f"{prefix}{task.short}", task.remedy)


def landing_steps(parameters: RunParameters) -> list[Step]:
    """Steps before `as_of` is known."""
    return [create_step(name, LOGS=parameters.logs or "", RECIPE=parameters.recipe) for name in LANDING_TASKS]


def feature_steps(as_of: str, recipe: str) -> list[Step]:
    """Steps from landed events to features."""
    steps = []
    for name in FEATURE_TASKS:
        if name == "encode_content":
            steps += [
                create_step(name, f"encode_{encoder}", f"{encoder}: ", NAME=encoder, RECIPE=recipe)
                for encoder in ENCODERS
            ]
        else:
            steps.append(create_step(name, AS_OF=as_of))
    return steps


def model_steps(parameters: RunParameters, as_of: str, tables: dict[str, Sequence[str]]) -> list[Step]:
    """Steps from features to a release: train, evaluate, refit, release.

    Args:
        parameters: Parameters of the run.
        as_of: ISO date.
        tables: "channels", "collections", "rankers" and "heads" → names of the models to train.
    """
    values = {"AS_OF": as_of, "RECIPE": parameters.recipe}
    models = [(kind, name) for kind in MODEL_KINDS for name in tables.get(f"{kind}s", ())]

    def fit_all(fit: str, verb: str) -> list[Step]:
        return [
            create_step(f"train_{kind}", f"{fit}_{name}", f"{verb} {name}, ", NAME=name, FIT=fit, **values)
            for kind, name in models
        ]

    return [
        create_step("prepare", **values),
        *fit_all("held_out", "train"),
        create_step("evaluate", **values),
        *fit_all("final", "refit"),
        create_step("measure_behavior", **values),
        create_step("release", **values),
    ]


def run(settings: Settings, parameters: RunParameters) -> None:
    """Run every step in order and print one line per step.

    Raises:
        StepError: A step failed, so the remaining steps were not started; a requested channel does not exist; or `as_of`
            is in the future.
        DiskSpaceError: The disk is too full for the output.
        HomeFormatError: Another version wrote the home.
    """
    check_disk_space(settings.home)
    restrict_access(settings.home)
    check_home_format(settings)
    folder = settings.logs / "pipeline"
    folder.mkdir(parents=True, exist_ok=True)
    variables = environment(settings)
    tables = check_channels(parameters, variables)
    numbers = iter(range(1, 100))

    def run_all(steps: list[Step]) -> None:
        for step in steps:
            try:
                _run_step(step, folder / f"{next(numbers):02d}_{step.name}.log", variables)
            except StepError:
                check_disk_space(settings.home, DISK_FULL_MB)  # on a full disk the log may lack the reason
                raise

    run_all(landing_steps(parameters))
    requested = ["--requested", parameters.as_of] if parameters.as_of else []
    as_of = read_last_output_line(["ingestion.as_of", *requested], variables)
    print(f"  as_of {as_of}, recipe {parameters.recipe}")
    run_all(feature_steps(as_of, parameters.recipe))
    tables = tables or read_model_tables(parameters, variables)
    channels = [name for name in tables["channels"] if not parameters.channels or name in parameters.channels]
    run_all(model_steps(parameters, as_of, {**tables, "channels": channels}))


def read_model_tables(parameters: RunParameters, variables: dict[str, str]) -> dict[str, list[str]]:
    """Names of the channels, collections, rankers and heads that the recipe trains."""
    tables: dict[str, list[str]] = json.loads(
        read_last_output_line(["training.train", "list", "all", "--recipe", parameters.recipe], variables)
    )
    return tables


def check_channels(parameters: RunParameters, variables: dict[str, str]) -> dict[str, list[str]] | None:
    """Check that every requested channel exists; skipped if none is requested, because listing them takes seconds.

    Returns:
        The model tables, if they were read.

    Raises:
        StepError: A requested channel does not exist.
    """
    if not parameters.channels:
        return None
    tables = read_model_tables(parameters, variables)
    available = tables["channels"]
    if unknown := [name for name in parameters.channels if name not in available]:
        raise StepError(
            f"unknown channel {', '.join(unknown)}; set CHANNELS to some of {', '.join(available)}, or omit it"
        )
    return tables


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


def _run_step(step: Step, log: Path, variables: dict[str, str]) -> None:
    print(f"  {step.name:<26} {step.description} … ", end="", flush=True)
    started = time.monotonic()
    with log.open("w") as output:
        process = subprocess.run(
            step.command, env=variables, cwd=ROOT, check=False, stdout=output, stderr=subprocess.STDOUT
        )
    state = "done" if process.returncode == 0 else "FAILED"
    print(f"{state} ({time.monotonic() - started:.0f} s)", flush=True)
    if process.returncode:
        lines = [f"{step.name} failed; {log} ends with:", *_log_tail(log)]
        if step.remedy:
            lines.append(f"What to do: {step.remedy} Then give the same command again.")
        raise StepError("\n".join(lines))


def _log_tail(log: Path, lines: int = 25) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-lines:]


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


def main(arguments: list[str] | None = None) -> int:
    """Run the pipeline."""
    parser = argparse.ArgumentParser(prog="python -m local.pipeline", description="Run the pipeline without Airflow")
    parameters = parse_run_parameters(parser, arguments)
    try:
        settings = load_settings()
        print(f"Segue pipeline in {settings.home}")
        run(settings, parameters)
    except (StepError, DiskSpaceError, HomeFormatError, SettingError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command continues with the finished steps", file=sys.stderr)
        return 130
    print(f"released; serve it with: make serve  (report: {settings.reports / 'evaluation.html'})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
