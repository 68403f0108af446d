"""Load generator in its own process: requests lists, each of a different user, and prints measurements as JSON.

`python -m research.serving.load_client PORT FIRST COUNT [--rate R] [--clients N] [--scene NAME]`: with a rate,
requests are sent on a clock without waiting for earlier responses, and latency counts from the tick (open loop); without
one, each client sends its next request when it gets a response (closed loop).
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def send_requests(
    port: int, first: int, count: int, clients: int, rate: float | None, scene: str = "daily"
) -> dict[str, Any]:
    """Return seconds, status, stage times and degraded parts of each request, the client's processor seconds, and elapsed
    seconds.
    """
    local = threading.local()
    began = time.perf_counter() + (0.2 if rate else 0.0)  # the clock starts when all clients wait for it

    def send(number: int) -> tuple[float, int, dict[str, float], list[str]]:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        start = time.perf_counter() if rate is None else began + number / rate
        time.sleep(max(0.0, start - time.perf_counter()))
        request = {"user_id": f"u{first + number:06d}", "scene": scene, "limit": 30, "debug": True}
        local.connection.request("POST", "/recommend", json.dumps(request), {"Content-Type": "application/json"})
        response = local.connection.getresponse()
        body = json.loads(response.read())
        elapsed = time.perf_counter() - start
        if response.status == 200 and len(body["items"]) < request["limit"]:
            raise AssertionError(f"{len(body['items'])} items for {request}")
        return elapsed, response.status, body.get("trace", {}).get("stage_ms", {}), list(body.get("degraded", ()))

    with ThreadPoolExecutor(clients) as pool:
        responses = list(pool.map(send, range(count)))
    return {
        "seconds": [elapsed for elapsed, *_ in responses],
        "status": [status for _, status, *_ in responses],
        "stage_ms": [stages for _, _, stages, _ in responses],
        "degraded": [parts for *_, parts in responses],
        "cpu_s": time.process_time(),
        "wall_s": time.perf_counter() - began,
    }


def main() -> None:
    """Parse the command line and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--scene", default="daily")
    measurements = send_requests(**vars(parser.parse_args()))
    print(json.dumps(measurements))


if __name__ == "__main__":
    main()
