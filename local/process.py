"""A program in the background and its end: everything it started included, everything else left alone.

Knows nothing about what the program does.
"""

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

MARKER_VARIABLE = "SEGUE_SERVICE_MARK"


@dataclass(frozen=True)
class BackgroundProcess:
    """A started program: its process id (its session's id too) and the mark that it and its children carry.

    A session alone would miss what the program's children put into sessions of their own, as Airflow does with every
    task; a process id alone would hit a stranger who got the same one after a reboot.
    """

    pid: int
    mark: str

    def members(self) -> list[psutil.Process]:
        """Processes of this program that are alive."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def is_running(self) -> bool:
        """True while the program itself runs."""
        return any(process.pid == self.pid for process in self.members())

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            environment = process.environ()
            # In the moment in which a program becomes another one (exec) it has none.
            return bool(environment.get(MARKER_VARIABLE) == self.mark if environment else process.pid == self.pid)
        except psutil.Error:
            return False


def start(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> BackgroundProcess:
    """Start `command` in `folder` in a session of its own; its output is appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(8)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            # SPT_NOENV: a program that renames itself (Airflow's do) keeps its environment readable, and so the mark
            env={**environment, MARKER_VARIABLE: mark, "SPT_NOENV": "1"},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return BackgroundProcess(process.pid, mark)


def stop(program: BackgroundProcess, timeout_s: float = 20) -> None:
    """End every process of the program: ask, wait up to `patience_s`, then kill what is left."""
    deadline = time.monotonic() + timeout_s
    for process in program.members():
        _send_signal(process, kill=False)
    while (left := program.members()) and time.monotonic() < deadline:
        _reap(program.pid)
        time.sleep(0.1)
    while left:
        for process in left:
            _send_signal(process, kill=True)
        _reap(program.pid)
        time.sleep(0.1)
        left = program.members()


def save(program: BackgroundProcess, path: Path) -> None:
    """Write the pid file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(program)))
    draft.replace(path)


def load(path: Path) -> BackgroundProcess | None:
    """The program of a pid file; None when there is no file."""
    return BackgroundProcess(**json.loads(path.read_text())) if path.exists() else None


def _send_signal(process: psutil.Process, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return


def _reap(pid: int) -> None:
    """Take note of our own child's end, so that it does not stay as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
