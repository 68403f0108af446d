"""Background programs with all processes that they start, which are found by a mark in their environment.

A process id or a session would miss children in other sessions (Airflow starts one per task), and can belong to an unrelated
program after a reboot.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

MARK, PROGRAM = "SEGUE_SERVICE_MARK", "SUPERVISOR_PROCESS_NAME"
"""Variables that all processes of a program inherit: its mark, and in which of supervisord's programs they are."""


def start(
    command: Sequence[str], variables: Mapping[str, str], folder: Path, log: Path, mark: str, **options: Any
) -> subprocess.Popen[bytes]:
    """Start `command` in `folder` in a new session and append its output to `log`; `options` go to `Popen`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # SPT_NOENV: setproctitle (used by Airflow) leaves the environment, and so the mark, readable
    environment = {**variables, MARK: mark, PROGRAM: "", "SPT_NOENV": "1"}
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )


def members(mark: str, program: str | None = None) -> list[psutil.Process]:
    """Living processes with the mark except this one; only of one of supervisord's programs if given, "" for supervisord itself."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            environment = process.environ()  # empty if it has ended, and for a moment during exec
            is_member = environment.get(MARK) == mark and program in (None, environment.get(PROGRAM, ""))
            if is_member and process.pid != os.getpid():
                found.append(process)
    return found


def stop(mark: str, program: str | None = None, timeout_s: float = 20) -> None:
    """End the `members`: SIGTERM, and SIGKILL after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    for process in members(mark, program):
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    while remaining := members(mark, program):
        for process in remaining if time.monotonic() > deadline else ():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.1)
