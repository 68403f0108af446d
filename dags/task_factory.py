"""How a command becomes a task, how a run learns what is asked of it, and how it passes that on.

A value from a Param reaches a command as an environment variable and is only read as "$NAME", so it cannot become part
of the command. A command that was killed is tried again; one that says no has answered.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Asset, TaskGroup, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from line import PARAMS
from line_links import ResultLink, add_result_link
from line_remedies import REMEDIES, format_task_documentation

ROOT = Path(__file__).resolve().parent.parent
DISK_FULL_BYTES = 16 << 20
"""With so little left a disk is as good as full."""


class Command(BashOperator):
    """A command that leads to what it made, and says what to do when it failed."""

    custom_operator_name = "command"
    operator_extra_links = (ResultLink(),)

    def execute(self, context: Any) -> Any:
        """Run it; the last line of its log says what to do if it fails.

        Raises:
            AirflowException: it ended with an error, or was killed; the message ends with the remedy.
        """
        try:
            return super().execute(context)
        except AirflowException as error:
            raise log_error(self.build_exception(error)) from None  # where it was raised says nothing of the command

    def build_exception(self, error: AirflowException) -> AirflowException:
        """What is raised instead of `error`."""
        process = self.subprocess_hook.sub_process
        return AirflowException(
            format_failure(self.task_id, error if process is None else format_exit_code(process.returncode))
        )


class FailFastCommand(Command):
    """A command whose error is an answer, which another try would only repeat: tried again only when it was killed."""

    def build_exception(self, error: AirflowException) -> AirflowException:
        """A failure for good, unless it was killed."""
        process, failure = self.subprocess_hook.sub_process, super().build_exception(error)
        is_killed = process is None or process.returncode < 0
        return failure if is_killed else AirflowFailException(*failure.args)


def format_failure(task_id: str, why: object) -> str:
    """What the log of a failed task says last: what happened and what to do."""
    return f"{why}. What to do: {disk_full_remedy()}{REMEDIES[task_id.rpartition('.')[2]]}"


def format_exit_code(code: int) -> str:
    """How a command ended, which has said why itself."""
    return f"exit code {code}: the reason stands above"


def log_error(error: AirflowException) -> AirflowException:
    """The error, told as the last line of the log: in the UI the message of an exception is folded away."""
    logging.getLogger("airflow.task").error("%s", error)
    return error


def disk_full_remedy() -> str:
    """The remedy for a full disk, of which a log may say nothing; empty where there is room."""
    home = os.environ.get("SEGUE_HOME")
    if not home or shutil.disk_usage(home).free >= DISK_FULL_BYTES:
        return ""
    return f"the disk of SEGUE_HOME={home} is full: free some, then clear this task. Otherwise "


def wrap_with_process_lock(name: str, line: str) -> str:
    """What bash runs: `line`, once what is left of a killed try of the same `name` has ended."""
    return f"exec python -m local.process_lock {name} {line}"


def create_command_task(
    task_id: str, line: str, doc: str, asked: Any, operator: type[Command] = FailFastCommand
) -> Command:
    """A task that runs `line` from the repository root with what is `asked` of the run in its environment."""
    return operator(
        task_id=task_id,
        bash_command=wrap_with_process_lock(task_id, line),
        env=asked,
        append_env=True,
        cwd=str(ROOT),
        doc_md=format_task_documentation(doc, task_id),
    )


def read_last_output_line(task_id: str, *arguments: str) -> str:
    """The last line that `python -m ...` prints to its standard output.

    Raises:
        AirflowException: it was killed.
        AirflowFailException: it ended with an error, which another try would only repeat; the log's last line says what to do.
    """
    done = subprocess.run(["python", "-m", *arguments], cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        said = format_failure(task_id, format_exit_code(done.returncode))
        raise log_error(AirflowException(said) if done.returncode < 0 else AirflowFailException(said))
    return done.stdout.splitlines()[-1]


def resolve_as_of(asked: str, dag_run: Any, task_id: str) -> str:
    """The asked day, else the day after the newest landed event; a scheduled or backfilled run stops at its own day."""
    if asked:
        return asked
    newest = read_last_output_line(task_id, "ingestion.as_of")
    is_scheduled = dag_run.run_type in ("scheduled", "backfill")
    return min(newest, dag_run.logical_date.date().isoformat()) if is_scheduled else newest


def create_parameters_task(are_events_landed: bool) -> Any:
    """The task that says what is asked of this run."""
    return add_result_link(resolve_run_parameters(are_events_landed))


RUN_PARAMETERS_DOC = (
    "What this run works on: its own Params before the asset event that started it, before the defaults."
)


@task(task_id="request", doc_md=format_task_documentation(RUN_PARAMETERS_DOC, "request"))
def resolve_run_parameters(
    are_events_landed: bool, dag_run: Any = None, params: Any = None, triggering_asset_events: Any = None
) -> dict[str, str]:
    """AS_OF, RECIPE, CHANNELS and LOGS for the commands' environment; "" where nothing was asked.

    `are_events_landed` is False in the DAG that lands them: the newest day is not known before.
    """
    events = [event for queued in triggering_asset_events.values() for event in queued]
    extra = max(events, key=lambda event: event.timestamp).extra if events else {}
    asked = {name: (dag_run.conf or {}).get(name) or extra.get(name) or params[name] for name in PARAMS}
    as_of = asked["as_of"] or ""
    return {
        "AS_OF": resolve_as_of(as_of, dag_run, "request") if are_events_landed else as_of,
        "RECIPE": asked["recipe"],
        "CHANNELS": " ".join(asked["channels"] or []),
        "LOGS": asked["logs"] or "",
    }


def create_asset_event_task(asset: Asset, asked: Any) -> Any:
    """A task that emits `asset` for one partition, its day and recipe, with the Params in the event's `extra`."""

    task_id = f"announce_{asset.name}"

    @task(
        task_id=task_id,
        outlets=[asset],
        doc_md=format_task_documentation(f"Says that `{asset.name}` for this day and recipe.", task_id),
    )
    def say(asked: dict[str, str], dag_run: Any = None, outlet_events: Any = None) -> None:
        as_of, channels = resolve_as_of(asked["AS_OF"], dag_run, task_id), asked["CHANNELS"].split()
        extra = {"as_of": as_of, "recipe": asked["RECIPE"], "channels": channels or None, "logs": asked["LOGS"] or None}
        outlet_events[asset].extra = extra
        outlet_events[asset].add_partitions("/".join([as_of, asked["RECIPE"], *channels]))

    return add_result_link(say(asked))


def create_model_list_task(asked: Any) -> Any:
    """A task that says which models there are, as soon as the run knows what is asked of it."""
    return add_result_link(read_model_tables(asked))


@task(task_id="list_models", doc_md=format_task_documentation("Reads the tables of what is trained.", "list_models"))
def read_model_tables(asked: dict[str, str]) -> dict[str, list[str]]:
    """Table ▸ the names in it. One command for all of them: most of its time is Python's, to import every model."""
    tables: dict[str, list[str]] = json.loads(
        read_last_output_line("list_models", "training.train", "list", "all", "--recipe", asked["RECIPE"])
    )
    return tables


def create_training_tasks(kind: str, asked: Any, tables: Any, fit: str) -> Any:
    """Trains each of the table of channels, containers, rankers or heads in a mapped task that shows its name.

    Only the training is returned, for others to be before and after.
    """
    with TaskGroup(f"{kind}s"):
        listed = f"Takes the {kind}s that are asked for, over which the next task is mapped."

        @task(task_id=f"list_{kind}s", doc_md=format_task_documentation(listed, f"list_{kind}s"))
        def names(asked: dict[str, str], tables: dict[str, list[str]]) -> list[dict[str, str]]:
            chosen = asked["CHANNELS"].split() if kind == "channel" else []
            if strange := [name for name in chosen if name not in tables["channels"]]:
                why = f"there is no channel {', '.join(strange)}, but {', '.join(tables['channels'])}"
                raise log_error(AirflowFailException(format_failure("list_channels", why)))
            return [{**asked, "NAME": name} for name in tables[f"{kind}s"] if not chosen or name in chosen]

        train = f'python -m training.train {kind} "$NAME" --fit {fit} --as-of "$AS_OF" --recipe "$RECIPE"'
        trains = f"Trains one {kind} ({fit}). Killed, it resumes; with the same inputs it is unchanged."
        return Command.partial(
            task_id=f"train_{kind}",
            bash_command=wrap_with_process_lock('"train_$NAME"', train),
            append_env=True,
            cwd=str(ROOT),
            # Airflow begins with what most waits for, the channels. A head takes longest of what comes after them, so it does
            # not wait for the rankers, which fill the cores beside it.
            priority_weight=10 if kind == "head" else 1,
            map_index_template="{{ task.env['NAME'] }}",
            doc_md=format_task_documentation(trains, f"train_{kind}"),
        ).expand(env=add_result_link(names(asked, tables)))
