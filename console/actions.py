"""Actions of the operator on releases: the commands of `python -m releases`, each recorded in a log."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.settings import ROOT, Settings
from console.releases import read_json
from storage.daily_files import read_rows

TIMEOUT_S = 120.0
SHOWN_ACTIONS = 50
WITHOUT_RELEASE = ("roll_back", "stop_experiment")
"""Actions whose form has no release."""
_RUNNING = threading.Lock()
"""Held by the action that is running: the next one sees its result."""


class InvalidActionError(ValueError):
    """An action or one of its values is not valid; the message names it."""


@dataclass(frozen=True)
class Action:
    """One action: its text on the confirmation page, and its command."""

    title: str
    effect: str
    arguments: Callable[[Mapping[str, str]], list[str]]  # form values → arguments of `python -m releases`


FIELDS = {
    "release": (r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", "the id of a release; choose one of the list"),
    "percent": (r"50(\.0+)?|[1-4]?\d(\.\d+)?", "a number from 0 to 50; 0 ends a canary"),
    "experiment": (
        r"[A-Za-z][A-Za-z0-9_. -]{0,63}",
        "a name; use letters, digits, spaces and _.-, at most 64, and begin with a letter",
    ),
}
"""Field of a form → pattern of its values, and what they are."""


def _value(values: Mapping[str, str], name: str) -> str:
    value, (pattern, what) = values.get(name, ""), FIELDS[name]
    if not re.fullmatch(pattern, value, re.ASCII):
        raise InvalidActionError(f"{name} {value[:100]!r} is not {what}")
    return value


def _share(values: Mapping[str, str]) -> str:
    return f"{float(_value(values, 'percent')) / 100:g}"


def _start_experiment(values: Mapping[str, str]) -> list[str]:
    share = _share(values)
    if share == "0":
        raise InvalidActionError("percent 0 starts nothing; give a share of the users, or stop the experiment instead")
    return ["canary", _value(values, "release"), "--share", share, "--experiment", _value(values, "experiment")]


ACTIONS = {
    "roll_back": Action(
        "Roll back",
        "All users get the previous release, and all canaries end. The recommender follows within a second.",
        lambda _: ["rollback"],
    ),
    "activate": Action(
        "Activate",
        "All users get this release, and all canaries end. The recommender follows within a second.",
        lambda values: ["activate", _value(values, "release")],
    ),
    "canary": Action(
        "Canary",
        "This share of the users gets this release, and the experiment report compares it with the active one. 0 ends it.",
        lambda values: ["canary", _value(values, "release"), "--share", _share(values)],
    ),
    "start_experiment": Action(
        "Start experiment",
        "This share of the users gets this release for the time of the experiment; the others keep the active one. A hash of "
        "the name and the user decides who, and the daily run compares both with intervals that hold at every look.",
        _start_experiment,
    ),
    "stop_experiment": Action(
        "Stop experiment",
        "All users get the active release. The users and the time of the experiment stay in its report.",
        lambda _: ["end"],
    ),
}


@dataclass(frozen=True)
class Outcome:
    """Result of an action: exit code 0 if it was done, and the lines that the command printed."""

    code: int
    output: str


def log_file(settings: Settings) -> Path:
    """File with one JSON object per action."""
    return settings.logs / "console_actions.jsonl"


def check_action(name: str, values: Mapping[str, str]) -> list[str]:
    """Arguments of the action's command.

    Raises:
        InvalidActionError: There is no such action, or a value is not valid.
    """
    if name not in ACTIONS:
        raise InvalidActionError(f"{name[:100]!r} is not an action; actions are {', '.join(ACTIONS)}")
    return ACTIONS[name].arguments(values)


def run_action(name: str, values: Mapping[str, str], client: str, settings: Settings) -> Outcome:
    """Run the action's command and record it.

    Args:
        name: Key of `ACTIONS`.
        values: Values of the form.
        client: Address of the operator, for the log.
        settings: Home and log folder.

    Raises:
        InvalidActionError: There is no such action, a value is not valid, or another release is active than the one that a
            rollback names; nothing is run.
    """
    arguments = check_action(name, values)
    with _RUNNING:
        _check_active(name, values, settings)
        return _run(arguments, client, settings)


def _run(arguments: list[str], client: str, settings: Settings) -> Outcome:
    _record(settings, client, arguments, None)  # before: an action must not take effect without a record
    try:
        done = subprocess.run(
            [sys.executable, "-m", "releases", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        outcome = Outcome(done.returncode, (done.stdout + done.stderr).strip())
    except subprocess.TimeoutExpired:
        outcome = Outcome(-1, f"the command did not end within {TIMEOUT_S:.0f} s; see the list of releases")
    _record(settings, client, arguments, outcome)
    return outcome


def _check_active(name: str, values: Mapping[str, str], settings: Settings) -> None:
    """Check that a rollback is from the release that its page named: a form that is sent twice must not go back two releases."""
    active, shown = active_release(settings), values.get("active")
    if name == "roll_back" and shown is not None and shown != active:
        raise InvalidActionError(
            f"{active or 'no release'} is active now, not {shown[:100] or 'none'} as when the page was opened; see the releases, and "
            "open the page again"
        )


def command_line(settings: Settings, *arguments: str) -> str:
    """The command of an action, to copy into a shell of this machine."""
    command = ["env", f"SEGUE_HOME={settings.home.absolute()}", sys.executable, "-m", "releases", *arguments]
    return shlex.join(["cd", str(ROOT)]) + " && " + shlex.join(command)


def active_release(settings: Settings) -> str:
    """Id of the active release; "" before the first."""
    return str(read_json(settings.releases / "active.json").get("release", ""))


def read_actions(settings: Settings) -> list[dict[str, object]]:
    """Newest records, newest first; one without `code` had not ended when it was written. Damaged lines are left out."""
    file = log_file(settings)
    rows = list(read_rows(file))[-SHOWN_ACTIONS:] if file.exists() else []
    return [row for row in reversed(rows) if {"time", "client", "arguments"} <= row.keys()]


def _record(settings: Settings, client: str, arguments: list[str], outcome: Outcome | None) -> None:
    record: dict[str, object] = {"time": datetime.now(UTC).isoformat(), "client": client, "arguments": arguments}
    if outcome:
        record |= {"code": outcome.code, "output": outcome.output[-2000:]}
    file = log_file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(record) + "\n")
