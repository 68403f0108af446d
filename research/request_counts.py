"""`python -m research.request_counts [--at TIME]`: calls, operators, processor time and files of one request of the release.

Unlike milliseconds, counts do not depend on the machine. Of `daily` (without a stored list) and `private_fm`, in process, with the
state of the user computed by the request (`new`), by one in the other scene (`shared`), or by one in the same scene (`cached`):
medians over users of

    http         calls of Python and C functions in all threads of the service until the response is sent by HTTP; nothing is
                 recorded as shown
    calls        of these, the calls that compute the response
    python       of these, calls of Python functions
    operators    ATen operators of the calling thread, with those that they call
    cpu_ms, ms   processor time of the process, and latency, both without counting
    files        files of Segue in which a function was called; with --files, in order, of the last user
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import Any
from unittest import mock

import numpy as np
import uvicorn
from torch.autograd import profiler

from config import settings
from config.tool_environment import tool_environment
from research.golden import sample

SCENES = ("daily", "private_fm")
USERS = 15
WARM_UP_REQUESTS = 3
STATE_AGE_US, PAUSE_US = 120_000_000, 1_000_000
"""Time after which the state of a user is computed again, and time between two requests with the same state."""


class CallCounter:
    """Counts calls of all threads that start after it was made, while `is_on`."""

    def __init__(self) -> None:
        self.is_on, self.python, self.c, self.files = False, 0, 0, dict[str, None]()
        threading.setprofile(self._count)

    def _count(self, frame: FrameType, event: str, _: Any) -> None:
        if self.is_on and event == "call":
            self.python += 1
            self.files[frame.f_code.co_filename] = None
        elif self.is_on:
            self.c += event == "c_call"

    @contextlib.contextmanager
    def count(self, is_client: bool = False) -> Iterator[None]:
        """Count, in the calling thread too unless it is a client."""
        self.python, self.c, self.files, self.is_on = 0, 0, {}, True
        sys.setprofile(None if is_client else self._count)
        try:
            yield
        finally:
            sys.setprofile(None)
            self.is_on = False

    @property
    def own_files(self) -> list[str]:
        """The files of Segue, in the order in which they were entered first."""
        root = f"{settings.ROOT}/"
        paths = [path.removeprefix(root) for path in self.files if path.startswith(root)]
        return [path for path in paths if not path.startswith((".venv/", "research/"))]


def main(arguments: list[str] | None = None) -> None:
    """Print a table of the counts."""
    parser = argparse.ArgumentParser(prog="python -m research.request_counts", description=__doc__)
    parser.add_argument(
        "--at", default=datetime.now(UTC).isoformat(), help="time of the requests, ISO 8601; default: now"
    )
    parser.add_argument("--files", action="store_true", help="also print the files")
    options = parser.parse_args(arguments)
    home = settings.load_settings()
    os.environ |= tool_environment(home)
    calls = CallCounter()
    from prometheus_client import CollectorRegistry

    from serving.batch.export import open_runtime
    from serving.observability.metrics import Metrics
    from serving.pipeline.request import read_request

    runtime = open_runtime(home, Metrics(CollectorRegistry()))
    at_us = int(datetime.fromisoformat(options.at).timestamp() * 1_000_000)
    rows: dict[tuple[str, str], list[dict[str, float]]] = {}
    served = contextlib.ExitStack()
    served.enter_context(mock.patch("serving.runtime.now_us", lambda: at_us + PAUSE_US))
    port = served.enter_context(_serve(runtime))
    for number, user in enumerate(sample(home.marts, "plays", "user_id", WARM_UP_REQUESTS + USERS)):
        for scene in SCENES:
            for state, before in (("new", None), ("shared", SCENES[scene == SCENES[0]]), ("cached", scene)):
                row = rows.setdefault((scene, state), [])
                row.append({})
                for measure in ("time", "http", "calls", "operators"):
                    at_us += STATE_AGE_US
                    if before is not None:
                        runtime.compute(read_request(user, before, None, at_us))
                    request = read_request(user, scene, None, at_us + PAUSE_US)
                    respond: partial[Any] = partial(runtime.compute, request)
                    if measure == "http":
                        respond = partial(_post, port, user, scene)
                    row[-1] |= _measure(measure, respond, calls)
                    if measure == "calls" and options.files and number == WARM_UP_REQUESTS + USERS - 1:
                        print(scene, state, *calls.own_files, sep="\n  ")
    served.close()
    print(f"{'scene':10} {'state':6}", *(f"{name:>9}" for name in rows[SCENES[0], "new"][0]))
    for (scene, state), of_users in rows.items():
        medians = [float(np.median([one[name] for one in of_users[WARM_UP_REQUESTS:]])) for name in of_users[0]]
        print(f"{scene:10} {state:6}", *(f"{value:9.1f}" for value in medians))


@contextlib.contextmanager
def _serve(runtime: Any) -> Iterator[int]:
    """The port of the service in threads of this process, which answers with `runtime` and closes it."""
    from serving.service import Recommender

    with mock.patch("serving.runtime.Runtime", lambda *_: runtime), socket.create_server(("127.0.0.1", 0)) as listening:
        app = Recommender.to_asgi()  # type: ignore[attr-defined]
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, server_header=False))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.1)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def _post(port: int, user: str, scene: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    request = json.dumps({"user_id": user, "scene": scene})
    connection.request("POST", "/recommend", request, {"Content-Type": "application/json", "Connection": "close"})
    response = connection.getresponse()
    content = response.read()
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{scene} of {user} got {response.status}: {content.decode()}")


def _measure(measure: str, respond: Any, calls: CallCounter) -> dict[str, float]:
    if measure == "http":
        with calls.count(is_client=True):
            respond()
        return {"http": calls.python + calls.c}
    if measure == "calls":
        with calls.count():
            respond()
        return {"calls": calls.python + calls.c, "python": calls.python, "files": len(calls.own_files)}
    if measure == "operators":
        with profiler.profile(use_kineto=False) as profile:
            respond()
        return {"operators": sum(event.name.startswith("aten::") for event in profile.function_events)}
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    respond()
    return {"ms": (time.perf_counter() - began_s) * 1000, "cpu_ms": (time.process_time() - began_cpu_s) * 1000}


if __name__ == "__main__":
    main()
