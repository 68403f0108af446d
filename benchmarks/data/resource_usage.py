"""Resource usage of a command: elapsed seconds, processor seconds, and peak memory of all its processes together."""

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from config import settings

POLL_INTERVAL_S = 0.1
LOG_TAIL_CHARACTERS = 3_000


@dataclass(frozen=True)
class ResourceUsage:
    """Elapsed seconds, processor seconds, and peak resident memory in bytes."""

    seconds: float
    processor: float
    memory: int


def run(command: list[str], variables: dict[str, str], log: Path) -> ResourceUsage:
    """Run a command of the pipeline with its output in `log`, and return its resource usage.

    Raises:
        RuntimeError: The command failed; the message has the end of its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(command, env=variables, cwd=settings.ROOT, stdout=output, stderr=subprocess.STDOUT)
        watch = _ProcessMonitor(psutil.Process(process.pid))
        code = process.wait()
    seconds = time.perf_counter() - began
    watch.stop()
    if code:
        raise RuntimeError(
            f"{' '.join(command)} ended with {code}; {log} ends with:\n{log.read_text()[-LOG_TAIL_CHARACTERS:]}"
        )
    return ResourceUsage(round(seconds, 2), round(watch.processor, 2), watch.memory)


@dataclass(frozen=True)
class ProcessSnapshot:
    """State of a process: parent, command line, virtual and resident memory in bytes."""

    parent: int
    command_line: tuple[str, ...]
    virtual_bytes: int
    resident_bytes: int


def total_resident_bytes(seen: dict[int, ProcessSnapshot]) -> int:
    """Resident bytes of processes by their id.

    A Java process has a child for each file whose rights it sets; between `vfork` and `exec` the child *is* its parent,
    with all of its memory, which is counted once.
    """

    def is_its_parent(one: ProcessSnapshot) -> bool:
        parent = seen.get(one.parent)
        return parent is not None and (parent.command_line, parent.virtual_bytes) == (
            one.command_line,
            one.virtual_bytes,
        )

    return sum(one.resident_bytes for one in seen.values() if not is_its_parent(one))


class _ProcessMonitor:
    """Samples a process and all its descendants until they have ended or `stop` is called."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._processor: dict[int, float] = {}
        self.memory = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    @property
    def processor(self) -> float:
        """Return the processor seconds of all sampled processes."""
        return sum(self._processor.values())

    def stop(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._ended.wait(POLL_INTERVAL_S):
            seen: dict[int, ProcessSnapshot] = {}
            try:
                processes = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for process in processes:
                try:
                    with process.oneshot():
                        memory, times = process.memory_info(), process.cpu_times()
                        seen[process.pid] = ProcessSnapshot(
                            process.ppid(), tuple(process.cmdline()), memory.vms, memory.rss
                        )
                except psutil.Error:
                    continue
                self._processor[process.pid] = times.user + times.system
            self.memory = max(self.memory, total_resident_bytes(seen))
