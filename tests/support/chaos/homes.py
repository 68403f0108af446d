"""Homes for the chaos suite: one with two releases and materialized features, of which every test part gets a copy."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config import settings
from event_store.opened import open_event_store
from local.environment import environment
from tests.support import release_swap
from tests.support.chaos import programs
from tests.support.chaos.checker import Ledger
from tests.support.chaos.programs import Program

TRACKS, USERS = 400, 200
WAIT_S = 300.0


@contextmanager
def template(folder: Path) -> Iterator[Path]:
    """A home with two releases, of which the first is active, and the features of `USERS` users in SQLite."""
    with release_swap.prepare_service(folder, TRACKS, "debug", USERS):
        yield folder


def copy_home(original: Path, folder: Path) -> Path:
    """An independent copy of a home."""
    shutil.copytree(original, folder, symlinks=True)
    return folder


def variables(home: Path, **more: str) -> dict[str, str]:
    """Environment of commands and services of a home."""
    known = environment(settings.Settings(home=home))
    known.pop("SEGUE_MARTS", None)
    return known | {
        "SEGUE_HOME": str(home),
        "SEGUE_RECALL_DEADLINE_MS": "30000",
        "SEGUE_MARTS": str(home / "marts"),
        "OMP_NUM_THREADS": "1",
        **more,
    }


def start_command(known: dict[str, str], module: str, *arguments: str) -> Program:
    """Start the command of a module; its output goes to `commands.log` in the home."""
    log = str(Path(known["SEGUE_HOME"]) / "commands.log")
    return programs.start(programs.command, known, module, list(arguments), log)


def run_command(known: dict[str, str], module: str, *arguments: str) -> object:
    """Result of the command of a module; None if it failed with an exception or was killed."""
    program = start_command(known, module, *arguments)
    program.process.join(WAIT_S)
    results = [one for one in program.messages() if one != "started"]
    program.kill()
    return results[0] if results else None


def start_recommender(known: dict[str, str], round_number: int, ledger: Ledger, users: int = USERS) -> Program:
    """Start a recommender whose clients report events, first those that were not acknowledged."""
    return programs.start(programs.recommender, known, round_number, ledger.unacknowledged, users)


def wait_for(program: Program, ledger: Ledger, kind: str) -> None:
    """Record messages until one of this kind arrives."""
    while True:
        assert program.connection.poll(WAIT_S), f"no message {kind!r} within {WAIT_S:g} s"
        message = program.connection.recv()
        ledger.record([message])
        if message[0] == kind:
            return


def observe(program: Program, ledger: Ledger, seconds: float) -> None:
    """Record messages for some seconds."""
    deadline = time.monotonic() + seconds
    while (remaining := deadline - time.monotonic()) > 0:
        if program.connection.poll(remaining):
            try:
                ledger.record([program.connection.recv()])
            except (EOFError, OSError):
                return


def finish_and_check(known: dict[str, str], ledger: Ledger, users: int = USERS) -> None:
    """Let a recommender report everything that is not acknowledged, and check the store."""
    program = start_recommender(known, 1_000_000, ledger, users)
    wait_for(program, ledger, "started")
    stop_recommender(program, ledger)
    store = open_event_store(settings.Settings(home=Path(known["SEGUE_HOME"])))
    ledger.check(store, stored_clicks(known, users))
    store.close()


def stop_recommender(program: Program, ledger: Ledger) -> None:
    """Stop a recommender in an orderly way."""
    program.connection.send("stop")
    wait_for(program, ledger, "stopped")
    program.process.join(WAIT_S)


def stored_clicks(known: dict[str, str], users: int = USERS) -> dict[str, list[str]]:
    """User ▸ ids of the events that requests read."""
    return dict(_receive(programs.start(programs.read_clicks, known, users)))


def _receive(program: Program) -> Any:
    assert program.connection.poll(WAIT_S), "no answer"
    answer = program.connection.recv()
    program.process.join()
    return answer
