"""Programs that tests kill: commands of Segue and a recommender without HTTP, each in a process that is forked quickly.

The processes are forked by a server that has imported everything once (`multiprocessing`'s forkserver), so that a start takes
tenths of a second instead of seconds. What runs after the fork is the real command.
"""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PRELOADED = "tests.support.chaos.preloaded"
METRICS_FOLDERS = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
CLIENTS = 4


@dataclass(frozen=True)
class Program:
    """A running program and the connection to it."""

    process: Any
    connection: Connection

    def kill(self) -> None:
        """Kill the process with SIGKILL, and wait for its end."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    def messages(self) -> list[Any]:
        """All complete messages that the program has sent."""
        received = []
        # A message that was being sent when the process was killed is incomplete.
        with suppress(EOFError, OSError):
            while self.connection.poll():
                received.append(self.connection.recv())
        return received


def start(target: Callable[..., None], variables: Mapping[str, str], *arguments: Any) -> Program:
    """Start `target(connection, *arguments)` in a process with these environment variables."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    _start_server()
    own, other = context.Pipe()
    process = context.Process(target=_run, args=(target, dict(variables), other, arguments), daemon=True)
    process.start()
    other.close()
    return Program(process, own)


def _start_server() -> None:
    """Start the server without the variables that Feast sets in this process.

    With them, metrics would be files in a folder, which the environment of the programs does not name.
    """
    hidden = {name: os.environ.pop(name) for name in METRICS_FOLDERS if name in os.environ}
    try:
        forkserver.ensure_running()
    finally:
        os.environ.update(hidden)


def _run(target: Callable[..., None], variables: dict[str, str], connection: Connection, arguments: Any) -> None:
    os.environ.clear()
    os.environ.update(variables)
    target(connection, *arguments)


def command(connection: Connection, module: str, arguments: Sequence[str], output: str) -> None:
    """Run the `main` of a module with these command-line arguments; its output goes to a file."""
    with Path(output).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = [module, *arguments]
    connection.send("started")
    connection.send(importlib.import_module(module).main())


def recommender(connection: Connection, round_number: int, unacknowledged: Sequence[str], users: int) -> None:
    """A recommender whose clients report events and ask for recommendations, until it is killed or stopped.

    Sends `("event", id)` for each acknowledged event, `("tried", id)` before it is reported, `("answer", release)`, and
    `("violation", text)` for an answer that lacks an acknowledged block or mixes releases. The events of `unacknowledged` are
    reported first, with the same ids.
    """
    from prometheus_client import CollectorRegistry

    from config import settings
    from serving.errors import NotReady
    from serving.observability.metrics import Metrics
    from serving.runtime import Runtime

    runtime = Runtime(settings.load_settings(), Metrics(CollectorRegistry()))
    connection.send(("started", None))
    stop, lock = threading.Event(), threading.Lock()
    numbers, repeated = itertools.count(), iter(unacknowledged)

    def send(kind: str, value: str) -> None:
        with lock:
            connection.send((kind, value))

    def next_event(client: int) -> str:
        with lock:
            return next(repeated, "") or f"{round_number}-{client}-{next(numbers)}"

    def report(event_id: str) -> str:
        user, action = _user_of(event_id, users), _action_of(event_id)
        send("tried", event_id)
        track = f"t{hash_number(event_id) % 300}"
        row = {"event_id": event_id, "user_id": user, "target_type": "track", "target_id": track, "action": action}
        result = runtime.ingest_events([row])
        if result.accepted + result.duplicate != 1:
            send("violation", f"{event_id} was not acknowledged: {result}")
        send("event" if result.accepted else "duplicate", event_id)
        return track

    def client(number: int) -> None:
        while not stop.is_set():
            event_id = next_event(number)
            try:
                track = report(event_id)
                if hash_number(event_id) % 4 == 0:
                    _check_answer(runtime, event_id, track, users, send)
            except (NotReady, OSError) as error:
                send("refused", f"{event_id}: {error}")
                time.sleep(0.01)
            except Exception as error:
                send("violation", f"{event_id}: {error!r}")
                return

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    connection.recv()
    stop.set()
    for thread in threads:
        thread.join()
    # Events that other processes have not acknowledged are all reported by now, unless there are more than requested.
    for event_id in repeated:
        report(event_id)
    runtime.close()
    connection.send(("stopped", None))


def _check_answer(runtime: Any, event_id: str, track: str, users: int, send: Callable[[str, str], None]) -> None:
    from tests.support.release_swap import RELEASE_MARK

    user = _user_of(event_id, users)
    response = runtime.recommend(user, "private_fm", 5)
    if _action_of(event_id) == "block" and track in [item.track_id for item in response.items]:
        send("violation", f"{track} was returned to {user} after its block {event_id} was acknowledged")
    marks = {mark for item in response.items for mark in RELEASE_MARK.findall(item.title)}
    if marks - {response.release}:
        send("violation", f"an answer of {response.release} has items of {marks}")
    send("answer", response.release)


def read_clicks(connection: Connection, users: int) -> None:
    """Send user ▸ ids of the events that requests of each user read."""
    from sequences.feast_store import open_store
    from sequences.online.reader_writer import OnlineReader

    reader = OnlineReader(open_store())
    found = {}
    for user in (f"u{number:06d}" for number in range(users)):
        rows = reader.read(user)
        found[user] = [*rows["recent_clicks"]["event_id"], *rows["exclusions"]["event_id"]]
    connection.send(found)


def hash_number(text: str) -> int:
    """A number that is the same in every process."""
    import zlib

    return zlib.crc32(text.encode())


def _user_of(event_id: str, users: int) -> str:
    return f"u{hash_number(event_id) % users:06d}"


def _action_of(event_id: str) -> str:
    # A block for some events: the next answer must not have the track.
    return "block" if hash_number(event_id) % 16 == 0 else "click"
