"""Factories that turn rows of the task table into Airflow tasks, and the resolution of run parameters.

A Param reaches a command as an environment variable that the command reads as "$NAME", so it cannot be executed as shell
code. A killed command is retried. After an error, only the commands of training and Feast are.
"""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Asset, TaskGroup, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from dag_defaults import EVENTS, PARAMS
from task_catalog import ENCODERS, MODEL_KINDS, PAGE_NAMES, TASKS, console_url, format_task_documentation
from task_failure import format_exit_code, format_failure

ROOT = Path(__file__).resolve().parent.parent


class Command(BashOperator):
    """Shell command that logs the address of its result and a remedy in its error."""

    custom_operator_name = "command"

    def execute(self, context: Any) -> Any:
        """Run the command; the last log line has the address of the result, on failure it states the remedy.

        Raises:
            AirflowException: The command exited with an error or was killed; the message ends with the remedy.
        """
        try:
            output = super().execute(context)
        except AirflowException as error:
            raise log_error(self.build_exception(error)) from None  # the traceback does not concern the command
        if page := TASKS[_task_name(self.task_id)].page:
            logging.getLogger("airflow.task").info("Result: %s, %s", PAGE_NAMES[page], console_url(page))
        return output

    def build_exception(self, error: AirflowException) -> AirflowException:
        """Exception to raise instead of `error`."""
        process = self.subprocess_hook.sub_process
        reason = error if process is None else format_exit_code(process.returncode)
        return AirflowException(format_failure(reason, _remedy(self.task_id)))


class FailFastCommand(Command):
    """Command that is retried only if it was killed, because an error would repeat."""

    def build_exception(self, error: AirflowException) -> AirflowException:
        """Exception without retry, unless the command was killed."""
        process, failure = self.subprocess_hook.sub_process, super().build_exception(error)
        is_killed = process is None or process.returncode < 0
        return failure if is_killed else AirflowFailException(*failure.args)


def _task_name(task_id: str) -> str:
    """Task id without its task group."""
    return task_id.rpartition(".")[2]


def _remedy(task_id: str) -> str:
    """What to do about a failure of the task."""
    failed = TASKS[_task_name(task_id)]
    return f"{failed.remedy} {failed.rerun}"


def log_error(error: AirflowException) -> AirflowException:
    """Log the error as a separate line, because the UI folds exception messages, and return it."""
    logging.getLogger("airflow.task").error("%s", error)
    return error


def create_command_task(
    name: str, parameters: Any, operator: type[Command] = FailFastCommand, priority: int = 1
) -> Command:
    """Task that runs a command of the task table from the repository root.

    Args:
        name: Name in the task table.
        parameters: Run parameters, added to the environment of the command.
        operator: `Command` if errors are transient and worth a retry.
        priority: Weight of the task among the tasks that could start.
    """
    return operator(
        task_id=name,
        bash_command=f"exec {TASKS[name].locked_command}",
        env=parameters,
        append_env=True,
        cwd=str(ROOT),
        priority_weight=priority,
        doc_md=format_task_documentation(name),
    )


def create_encoding_task(name: str, parameters: Any, parallel_tasks: int = len(ENCODERS)) -> Any:
    """Mapped task that encodes the content of tracks with each of ENCODERS.

    Args:
        name: Name in the task table.
        parameters: Run parameters, added to the environment of the command.
        parallel_tasks: How many encoders may run at the same time.
    """

    @task(task_id="list_encoders", doc_md=format_task_documentation("list_encoders"))
    def list_encoders(parameters: dict[str, str]) -> list[dict[str, str]]:
        return [{**parameters, "NAME": name} for name in ENCODERS]

    return FailFastCommand.partial(
        task_id=name,
        bash_command=f"exec {TASKS[name].locked_command}",
        append_env=True,
        cwd=str(ROOT),
        max_active_tis_per_dagrun=parallel_tasks,
        map_index_template="{{ task.env['NAME'] }}",
        doc_md=format_task_documentation(name),
    ).expand(env=list_encoders(parameters))


def read_last_output_line(name: str, *arguments: str) -> str:
    """Last line that `python -m ...` prints to standard output, run for the task `name`.

    Raises:
        AirflowException: The command was killed.
        AirflowFailException: The command exited with an error; the last log line states the remedy.
    """
    process = subprocess.run(["python", "-m", *arguments], cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    if process.returncode:
        message = format_failure(format_exit_code(process.returncode), _remedy(name))
        raise log_error(AirflowException(message) if process.returncode < 0 else AirflowFailException(message))
    return process.stdout.splitlines()[-1]


def resolve_as_of(requested: str, dag_run: Any, name: str) -> str:
    """The requested day, else the day after the newest landed event, limited to a scheduled or backfilled run's own day.

    A requested day in the future fails the task; its log names the latest possible day.
    """
    if requested:
        return read_last_output_line(name, "ingestion.as_of", "--requested", requested)
    newest = read_last_output_line(name, "ingestion.as_of")
    is_scheduled = dag_run.run_type in ("scheduled", "backfill")
    return min(newest, dag_run.logical_date.date().isoformat()) if is_scheduled else newest


@task(task_id="request", doc_md=format_task_documentation("request"))
def resolve_run_parameters(
    are_events_landed: bool, dag_run: Any = None, params: Any = None, triggering_asset_events: Any = None
) -> dict[str, str]:
    """AS_OF, RECIPE, CHANNELS and LOGS for the environment of commands; "" for a parameter that is not set.

    `are_events_landed` is False in the DAG that lands them, because the newest day is unknown before.
    """
    events = [event for queued in triggering_asset_events.values() for event in queued]
    extra = max(events, key=lambda event: event.timestamp).extra if events else {}
    values = {name: (dag_run.conf or {}).get(name) or extra.get(name) or params[name] for name in PARAMS}
    as_of = values["as_of"] or ""
    is_resolved = bool(as_of) and as_of == extra.get("as_of")
    return {
        "AS_OF": resolve_as_of(as_of, dag_run, "request") if are_events_landed and not is_resolved else as_of,
        "RECIPE": values["recipe"],
        "CHANNELS": " ".join(values["channels"] or []),
        "LOGS": values["logs"] or "",
    }


def create_asset_event_task(asset: Asset, parameters: Any) -> Any:
    """Task that emits `asset` for one partition (day and recipe), with the Params in the event's `extra`."""
    name = f"announce_{asset.name}"

    @task(task_id=name, outlets=[asset], doc_md=format_task_documentation(name))
    def emit(parameters: dict[str, str], dag_run: Any = None, outlet_events: Any = None) -> None:
        recipe, channels = parameters["RECIPE"], parameters["CHANNELS"].split()
        # The parameters of all DAGs after landing have a resolved day.
        as_of = resolve_as_of(parameters["AS_OF"], dag_run, name) if asset == EVENTS else parameters["AS_OF"]
        extra = {"as_of": as_of, "recipe": recipe, "channels": channels or None, "logs": parameters["LOGS"] or None}
        outlet_events[asset].extra = extra
        outlet_events[asset].add_partitions("/".join([as_of, recipe, *channels]))

    return emit(parameters)


@task(task_id="list_models", doc_md=format_task_documentation("list_models"))
def read_model_tables(parameters: dict[str, str]) -> dict[str, list[str]]:
    """Table → its model names. One command reads all tables, because importing every model takes most of its time."""
    return json.loads(
        read_last_output_line("list_models", "training.train", "list", "all", "--recipe", parameters["RECIPE"])
    )


TRAINING_PRIORITY = {("head", "held_out"): 10, ("ranker", "final"): 20}
EVALUATION_PRIORITY = 30
"""Weights of training tasks by kind and fit, and of the evaluation; others have 1.

Airflow starts the task with most dependents first: the channels. A `held_out` head is ready after them and takes longer than
most rankers, so it must not wait for those. The evaluation takes longest of what follows, so it starts first. The `final`
ranker waits for it, and the release for the ranker.
"""


def create_all_training_tasks(parameters: Any, fit: str) -> list[Any]:
    """Mapped training tasks of the four kinds, in the order of `MODEL_KINDS`; `fit` is "held_out" or "final"."""
    tables = read_model_tables(parameters)
    return [create_training_tasks(kind, parameters, tables, fit) for kind in MODEL_KINDS]


def create_training_tasks(kind: str, parameters: Any, tables: Any, fit: str) -> Any:
    """Mapped task that trains each model of one kind; the UI shows the model's name.

    Returns:
        The training task only, so that callers can set its dependencies.
    """
    with TaskGroup(f"{kind}s"):

        @task(task_id=f"list_{kind}s", doc_md=format_task_documentation(f"list_{kind}s"))
        def list_names(parameters: dict[str, str], tables: dict[str, list[str]]) -> list[dict[str, str]]:
            requested = parameters["CHANNELS"].split() if kind == "channel" else []
            if unknown := [name for name in requested if name not in tables["channels"]]:
                reason = f"unknown channel {', '.join(unknown)}; known are {', '.join(tables['channels'])}"
                raise log_error(AirflowFailException(format_failure(reason, _remedy("list_channels"))))
            names = [name for name in tables[f"{kind}s"] if not requested or name in requested]
            if kind == "ranker":
                names.reverse()  # the most complex one takes longest, so it starts first
            return [{**parameters, "NAME": name, "FIT": fit} for name in names]

        return Command.partial(
            task_id=f"train_{kind}",
            bash_command=f"exec {TASKS[f'train_{kind}'].locked_command}",
            append_env=True,
            cwd=str(ROOT),
            priority_weight=TRAINING_PRIORITY.get((kind, fit), 1),
            map_index_template="{{ task.env['NAME'] }}",
            doc_md=format_task_documentation(f"train_{kind}"),
        ).expand(env=list_names(parameters, tables))
