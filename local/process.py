"""Start and stop of background programs with all their child processes."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from storage.files import atomic_write

MARKER_VARIABLE = "SEGUE_SERVICE_MARK"
CREATION_TOLERANCE_S = 2.0
"""Creation times are derived from the time of the boot, which changes a little when the clock is corrected."""


@dataclass(frozen=True)
class BackgroundProcess:
    """A started program, identified by process id and by a marker that its children inherit in their environment.

    The session id alone would miss children in other sessions (Airflow starts one per task); the process id alone could
    belong to an unrelated program after a reboot.
    """

    pid: int  # also the session id
    mark: str  # value of MARKER_VARIABLE
    created_s: float | None = None  # since 1970; None in pid files of earlier versions

    def members(self) -> list[psutil.Process]:
        """Living processes of this program."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def is_running(self) -> bool:
        """True while the program itself (not only its children) runs."""
        return any(process.pid == self.pid for process in self.members())

    def environment(self) -> dict[str, str]:
        """Environment with which the program was started; empty if it has ended, or has only just started."""
        try:
            return dict(psutil.Process(self.pid).environ())
        except psutil.Error:
            return {}

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            environment = process.environ()
            if environment:
                return bool(environment.get(MARKER_VARIABLE) == self.mark)
            # During exec the environment is empty for a moment. Unrelated programs without one may have the same id.
            return (
                process.pid == self.pid
                and self.created_s is not None
                and abs(process.create_time() - self.created_s) < CREATION_TOLERANCE_S
            )
        except psutil.Error:
            return False


def start(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> BackgroundProcess:
    """Start `command` in `folder` in a new session and append its output to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(8)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            # SPT_NOENV: setproctitle (used by Airflow) leaves the environment, and so the marker, readable
            env={**environment, MARKER_VARIABLE: mark, "SPT_NOENV": "1"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return BackgroundProcess(process.pid, mark, psutil.Process(process.pid).create_time())


def stop(program: BackgroundProcess, timeout_s: float = 20) -> None:
    """End every process of the program: SIGTERM, and SIGKILL after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    for process in program.members():
        _send_signal(process, kill=False)
    while (remaining := program.members()) and time.monotonic() < deadline:
        _reap(program.pid)
        time.sleep(0.1)
    while remaining:
        for process in remaining:
            _send_signal(process, kill=True)
        _reap(program.pid)
        time.sleep(0.1)
        remaining = program.members()


def save(program: BackgroundProcess, path: Path) -> None:
    """Write the pid file atomically."""
    atomic_write(path, json.dumps(asdict(program)))


def load(path: Path) -> BackgroundProcess | None:
    """Program of a pid file; None without a file, or if a power loss damaged it, after which the program does not run."""
    try:
        return BackgroundProcess(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _send_signal(process: psutil.Process, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return


def _reap(pid: int) -> None:
    """Collect the exit status of our child, so that it does not stay a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
