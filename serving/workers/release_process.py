"""`python -m serving.workers.release_process`: loads a release once and forks the model workers, which share its memory.

Started by `release_workers.py` with a listening socket. A worker accepts one connection and runs its batches of calls one
after the other; the features of users are dropped at the end of a connection. A worker that ends is forked again. All
processes end when standard input is closed, which is the case when the recommender ends in any way.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from config import garbage_collector
from sequences.views import SEQUENCE_VIEWS
from serving.observability import structured_log
from serving.pipeline.stages.rank import Ranking
from serving.pipeline.stages.recall import Recall
from serving.releases.served_release import ReleaseParts, ServedRelease, load_release
from serving.releases.warm_up import warm_up
from serving.workers.metric_updates import MetricRecorder
from serving.workers.model_calls import ModelCalls
from training.data.feature_services import ServiceContract

CHECK_INTERVAL_S = 0.2
"""How often ended workers are replaced."""
EVERY_VIEW = ServiceContract(tuple(SEQUENCE_VIEWS), ())
"""Features of the warm-up; those of users are part of each call."""
READY = "ready"
"""Printed when the release is loaded; anything else is the reason why it is not."""


def main() -> None:
    """Load the release, fork the workers, and keep their number until standard input is closed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="release folder")
    parser.add_argument("--public-key", default="")
    parser.add_argument("--deadline-s", type=float, required=True)
    options = parser.parse_args()
    # These signals reach every process of a service; running requests of the recommender still need this one.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    structured_log.configure_logging()
    listener = socket.socket(fileno=options.listener)
    listener.setblocking(False)
    try:
        release = load_release(options.folder, EVERY_VIEW, ReleaseParts(has_search=False), options.public_key)
        # Before forking, so that the workers share what is computed on first use; without threads, which do not survive it.
        metrics: Any = MetricRecorder()
        warm_up(release, time.time_ns() // 1000, Recall(metrics, options.deadline_s), Ranking())
    except Exception as error:
        print(f"{type(error).__name__}: {error}".splitlines()[0], flush=True)  # the last line is the reason
        raise SystemExit(1) from error
    garbage_collector.freeze_gc()  # collections in the workers would copy the shared pages
    print(READY, flush=True)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the pipe is not read after READY
    _supervise(listener, release, options.workers, options.deadline_s)


def _supervise(listener: socket.socket, release: ServedRelease, count: int, deadline_s: float) -> None:
    is_alive, keep_alive = os.pipe()  # its writing end closes when this process ends
    workers = {_fork(listener, release, deadline_s, is_alive, keep_alive) for _ in range(count)}
    while not (select.select([sys.stdin], [], [], CHECK_INTERVAL_S)[0] and not os.read(sys.stdin.fileno(), 1)):
        while (ended := os.waitpid(-1, os.WNOHANG)[0]) in workers:
            workers ^= {ended, _fork(listener, release, deadline_s, is_alive, keep_alive)}
    for worker in workers:  # one may hang in a call
        os.kill(worker, signal.SIGKILL)


def _fork(listener: socket.socket, release: ServedRelease, deadline_s: float, is_alive: int, keep_alive: int) -> int:
    """Start a worker; return its process id. No other thread runs: models are loaded and called in the main thread."""
    worker = os.fork()
    if worker:
        return worker
    status = 1
    try:
        os.close(keep_alive)
        _serve(listener, ModelCalls(release, deadline_s), is_alive)
        status = 0
    finally:
        os._exit(status)  # without the exit handlers of the forking process


def _serve(listener: socket.socket, calls: ModelCalls, is_alive: int) -> None:
    """Serve one connection after the other until the forking process ends."""
    while is_alive not in wait([listener, is_alive]):
        try:
            accepted, _ = listener.accept()
        except BlockingIOError:
            continue  # another worker was faster
        accepted.setblocking(True)
        connection: Connection[Any, Any] = Connection(accepted.detach())
        with connection:
            _serve_connection(connection, calls, is_alive)
        calls.forget_users()


def _serve_connection(connection: Connection[Any, Any], calls: ModelCalls, is_alive: int) -> None:
    try:
        connection.send(os.getpid())
        while connection in wait([connection, is_alive]):
            connection.send(calls.run_together(connection.recv()))
    except (EOFError, OSError):
        return  # the recommender closed the connection


if __name__ == "__main__":
    main()
