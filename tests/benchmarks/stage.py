"""What one command takes: seconds, processor seconds, and the most memory of all its processes together."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

import settings

LOOK_EVERY_S = 0.1
END_OF_LOG = 3_000


@dataclass(frozen=True)
class Taken:
    """Seconds on the clock and of the processor, and bytes of resident memory at their most."""

    seconds: float
    processor: float
    memory: int


def run(command: list[str], variables: dict[str, str], log: Path) -> Taken:
    """Runs a command of the line, its output into `log`.

    Raises:
        RuntimeError: it failed; the message has the end of its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(command, env=variables, cwd=settings.ROOT, stdout=output, stderr=subprocess.STDOUT)
        watch = _Watch(psutil.Process(process.pid))
        code = process.wait()
    seconds = time.perf_counter() - began
    watch.end()
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}; {log} ends with:\n{log.read_text()[-END_OF_LOG:]}")
    return Taken(round(seconds, 2), round(watch.processor, 2), watch.memory)


@dataclass(frozen=True)
class Seen:
    """A process at one look: who started it, its words, and its bytes of addresses and of resident memory."""

    parent: int
    words: tuple[str, ...]
    addresses: int
    resident: int


def together(seen: dict[int, Seen]) -> int:
    """Resident bytes of processes by their id.

    A Java process has a child for each file whose rights it sets; between `vfork` and `exec` the child *is* its parent, with
    all of its memory, which is counted once.
    """

    def is_its_parent(one: Seen) -> bool:
        parent = seen.get(one.parent)
        return parent is not None and (parent.words, parent.addresses) == (one.words, one.addresses)

    return sum(one.resident for one in seen.values() if not is_its_parent(one))


class _Watch:
    """Looks at a process and all that it started, until both are gone or `end`."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._processor: dict[int, float] = {}
        self.memory = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def processor(self) -> float:
        """Seconds of all processes that were seen."""
        return sum(self._processor.values())

    def end(self) -> None:
        """No more looks."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            seen: dict[int, Seen] = {}
            try:
                processes = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for process in processes:
                try:
                    with process.oneshot():
                        memory, times = process.memory_info(), process.cpu_times()
                        seen[process.pid] = Seen(process.ppid(), tuple(process.cmdline()), memory.vms, memory.rss)
                except psutil.Error:
                    continue
                self._processor[process.pid] = times.user + times.system
            self.memory = max(self.memory, together(seen))
