"""A program in the background, with all processes that it starts."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from local import process


@dataclass(frozen=True)
class BackgroundProcess:
    """A started program and the mark of its processes."""

    popen: subprocess.Popen[bytes]
    mark: str

    @property
    def pid(self) -> int:
        """Process id of the program, and of its session."""
        return self.popen.pid

    def is_running(self) -> bool:
        """True while the program itself (not only its children) runs."""
        return self.popen.poll() is None

    def members(self) -> list[psutil.Process]:
        """Living processes of this program."""
        return process.members(self.mark)

    def stop(self, timeout_s: float = 20) -> None:
        """End every process of the program."""
        process.stop(self.mark, timeout_s=timeout_s)
        self.popen.wait()


def start(command: Sequence[str], variables: Mapping[str, str], folder: Path, log: Path) -> BackgroundProcess:
    """Start `command` in `folder` and append its output to `log`."""
    mark = secrets.token_hex(8)
    return BackgroundProcess(process.start(command, variables, folder, log, mark), mark)
