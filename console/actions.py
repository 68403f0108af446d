"""The rollback of the operator: the command of `python -m releases`, recorded in a log."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.settings import ROOT, Settings
from console.releases import read_json
from storage.json_lines import read_rows

TIMEOUT_S = 120.0
SHOWN_ACTIONS = 50
ARGUMENTS = ["rollback"]
_RUNNING = threading.Lock()
"""Held by the action that is running: the next one sees its result."""


class InvalidActionError(ValueError):
    """The rollback is not possible now; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """Result of an action: exit code 0 if it was done, and the lines that the command printed."""

    code: int
    output: str


def log_file(settings: Settings) -> Path:
    """File with one JSON object per action."""
    return settings.logs / "console_actions.jsonl"


def roll_back(shown: str | None, client: str, settings: Settings) -> Outcome:
    """Return to the release that was active before, and record it.

    Args:
        shown: Release that was active when the operator opened the page; a form that is sent twice must not go back two releases.
        client: Address of the operator, for the log.
        settings: Home and log folder.

    Raises:
        InvalidActionError: Another release is active than `shown`; nothing is run.
    """
    with _RUNNING:
        active = active_release(settings)
        if shown is not None and shown != active:
            raise InvalidActionError(
                f"{active or 'no release'} is active now, not {shown[:100] or 'none'} as when the page was opened; see the releases, "
                "and open the page again"
            )
        _record(settings, client, None)  # before: an action must not take effect without a record
        try:
            done = subprocess.run(
                [sys.executable, "-m", "releases", *ARGUMENTS],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_S,
            )
            outcome = Outcome(done.returncode, (done.stdout + done.stderr).strip())
        except subprocess.TimeoutExpired:
            outcome = Outcome(-1, f"the command did not end within {TIMEOUT_S:.0f} s; see the list of releases")
        _record(settings, client, outcome)
        return outcome


def command_line(settings: Settings, *arguments: str) -> str:
    """A command on releases, to copy into a shell of this machine."""
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


def _record(settings: Settings, client: str, outcome: Outcome | None) -> None:
    record: dict[str, object] = {"time": datetime.now(UTC).isoformat(), "client": client, "arguments": ARGUMENTS}
    if outcome:
        record |= {"code": outcome.code, "output": outcome.output[-2000:]}
    file = log_file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(record) + "\n")
