"""`python -m local.pipeline --logs PATH --recipe NAME --as-of DAY`: the whole line in order, without a scheduler.

`steps` is the list; the DAGs run the same commands. A step's output goes to a log of its own below
`SEGUE_HOME/logs/pipeline`, and the first step that fails ends the run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from config.settings import ROOT, SettingError, Settings, load_settings
from local.disk_space import DiskSpaceError, check_disk_space
from local.environment import environment

RECIPES = ("debug", "small", "full")
DISK_FULL_MB = 16
"""With so little left a disk is as good as full."""


@dataclass(frozen=True)
class Step:
    """One command of the line, and what it does in a few words."""

    name: str
    command: list[str]
    description: str


@dataclass(frozen=True)
class RunParameters:
    """What a person asked for: the same four values as the DAGs' Params. `channels` empty: all."""

    logs: str | None = None
    recipe: str = "small"
    as_of: str | None = None
    channels: tuple[str, ...] = ()


class StepError(RuntimeError):
    """A step failed; the message names it and its log."""


def landing_steps(asked: RunParameters) -> list[Step]:
    """The steps before `as_of` is known."""
    logs = ["--logs", asked.logs] if asked.logs else []
    return [
        Step(
            "land",
            _python_command("local.land", *logs, "--recipe", asked.recipe),
            "listening logs, or the simulated world",
        ),
        Step("land_live", _python_command("local.land", "--live"), "what listeners did with our answers"),
    ]


def feature_steps(as_of: str) -> list[Step]:
    """From landed events to features."""

    def validate(stage: str, what: str) -> Step:
        return Step(f"validate_{stage}", _python_command("quality.validate", "--as-of", as_of, "--stage", stage), what)

    return [
        validate("landed", "whether the newest events may pass: expectations, data docs"),
        Step(
            "build",
            ["dbt", "build", "--project-dir", "dbt", "--vars", json.dumps({"as_of": as_of})],
            "what the logs mean: every dbt model, tested, published as marts",
        ),
        Step(
            "publish",
            _python_command("local.publish"),
            "what dbt could not publish itself, of Spark and for object storage",
        ),
        Step(
            "document",
            ["dbt", "docs", "generate", "--project-dir", "dbt", "--static", "--no-compile"],
            "dbt docs: every model, its columns, tests and lineage",
        ),
        validate("marts", "whether the marts may pass: expectations, data docs"),
        Step("apply", ["feast", "-c", "feature_repo", "apply"], "entities, feature views, feature services"),
        Step(
            "materialize",
            _python_command("sequences.online.materialize", "--as-of", as_of),
            "newest features, for serving",
        ),
    ]


def model_steps(
    asked: RunParameters,
    as_of: str,
    channels: list[str],
    rankers: list[str],
    containers: list[str] | None = None,
    heads: list[str] | None = None,
) -> list[Step]:
    """From features to a release: learn, compare, refit, pass the gate."""
    when = ["--as-of", as_of, "--recipe", asked.recipe]

    def fits(fit: str, what: str) -> list[Step]:
        tables = {"channel": channels, "container": containers or [], "ranker": rankers, "head": heads or []}
        models = [(kind, name) for kind, names in tables.items() for name in names]
        return [
            Step(
                f"{fit}_{name}",
                _python_command("training.train", kind, name, "--fit", fit, *when),
                f"{what} {kind} {name}",
            )
            for kind, name in models
        ]

    return [
        Step("prepare", _python_command("training.prepare", *when), "vocabulary, catalogue, hash of all inputs"),
        *fits("held_out", "train"),
        Step("evaluate", _python_command("training.evaluate", *when), "against the memories, on held-out time"),
        *fits("final", "refit"),
        Step("release", _python_command("training.release", *when), "the gate, then the model store"),
    ]


def run(settings: Settings, asked: RunParameters) -> None:
    """Run every step in order, one line of progress a step.

    Raises:
        StepError: a step failed, so the ones after it were not started; or a channel is asked for that there is not.
        NoRoomError: there is no room for what they write.
    """
    check_disk_space(settings.home)
    folder = settings.logs / "pipeline"
    folder.mkdir(parents=True, exist_ok=True)
    variables = environment(settings)
    check_channels(asked, variables)
    numbers = iter(range(1, 100))

    def all_of(steps: list[Step]) -> None:
        for step in steps:
            try:
                _run_step(step, folder / f"{next(numbers):02d}_{step.name}.log", variables)
            except StepError:
                check_disk_space(settings.home, DISK_FULL_MB)  # a full disk may have left no reason in the log
                raise

    all_of(landing_steps(asked))
    as_of = asked.as_of or read_last_output_line(["ingestion.as_of"], variables)
    print(f"  as_of {as_of}, recipe {asked.recipe}")
    all_of(feature_steps(as_of))
    tables = read_model_tables(asked, variables)
    channels = [name for name in tables["channels"] if not asked.channels or name in asked.channels]
    all_of(model_steps(asked, as_of, channels, tables["rankers"], tables["containers"], tables["heads"]))


def read_model_tables(asked: RunParameters, variables: dict[str, str]) -> dict[str, list[str]]:
    """Channels, containers, rankers and heads that the recipe trains."""
    tables: dict[str, list[str]] = json.loads(
        read_last_output_line(["training.train", "list", "all", "--recipe", asked.recipe], variables)
    )
    return tables


def check_channels(asked: RunParameters, variables: dict[str, str]) -> None:
    """Return when there is a channel of every name that was asked for, as is known from the first when none was.

    Raises:
        StepError: there is not.
    """
    there = read_model_tables(asked, variables)["channels"] if asked.channels else []
    if strange := [name for name in asked.channels if name not in there]:
        raise StepError(
            f"no channel is called {', '.join(strange)}; give CHANNELS some of {', '.join(there)}, or leave it out"
        )


def read_last_output_line(module: list[str], variables: dict[str, str]) -> str:
    """The last line that `python -m MODULE ...` prints.

    Raises:
        StepError: it failed; the message is its own.
    """
    done = subprocess.run(
        _python_command(*module), env=variables, cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise StepError(f"python -m {' '.join(module)} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout.splitlines()[-1]


def _run_step(step: Step, log: Path, variables: dict[str, str]) -> None:
    print(f"  {step.name:<26} {step.description} … ", end="", flush=True)
    began = time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            step.command, env=variables, cwd=ROOT, check=False, stdout=output, stderr=subprocess.STDOUT
        )
    print(f"{'done' if done.returncode == 0 else 'FAILED'} ({time.monotonic() - began:.0f} s)", flush=True)
    if done.returncode:
        raise StepError(f"{step.name} failed; {log} ends with:\n" + "\n".join(_log_tail(log)))


def _log_tail(log: Path, lines: int = 25) -> Iterator[str]:
    yield from log.read_text(errors="replace").splitlines()[-lines:]


def _python_command(module: str, *arguments: str) -> list[str]:
    return ["python", "-m", module, *arguments]


def parse_run_parameters(parser: argparse.ArgumentParser, arguments: list[str] | None) -> RunParameters:
    """What the command line asks for; an empty value counts as none, because make passes those on."""
    parser.add_argument("--logs", default="", help="file or folder of listening logs (default: the simulated world)")
    parser.add_argument("--recipe", default="small", choices=RECIPES, help="size of models and simulated world")
    parser.add_argument("--as-of", default="", help="YYYY-MM-DD (default: the day after the newest event)")
    parser.add_argument("--channels", default="", help="recall channels to train, separated by spaces (default: all)")
    options = parser.parse_args(arguments)
    logs = str(Path(options.logs).expanduser().resolve()) if options.logs else None
    if logs and not Path(logs).exists():
        parser.error(f"there are no logs at {logs}; give a file or folder that exists, or leave LOGS out")
    if options.as_of and not _is_iso_date(options.as_of):
        parser.error(f"{options.as_of!r} is no day; write AS_OF as 2026-06-30, or leave it out")
    return RunParameters(logs, options.recipe, options.as_of or None, tuple(options.channels.split()))


def _is_iso_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def main(arguments: list[str] | None = None) -> int:
    """Run the line."""
    asked = parse_run_parameters(
        argparse.ArgumentParser(prog="python -m local.pipeline", description="The line in order"), arguments
    )
    try:
        settings = load_settings()
        print(f"Segue's line, in {settings.home}")
        run(settings, asked)
    except (StepError, DiskSpaceError, SettingError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on with what is done", file=sys.stderr)
        return 130
    print(f"released; serve it with: make serve  (report: {settings.reports / 'evaluation.html'})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
