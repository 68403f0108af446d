"""A client in a process of its own: asks for lists of the day, each of another listener, and says what it saw as JSON.

`python -m benchmarks.serving.load_client PORT FIRST COUNT [--rate R] [--clients N]`: with a rate requests leave on a clock,
whether the ones before are answered or not, and time counts from the tick; without one each client asks again as soon as
it is answered.
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def send_requests(port: int, first: int, count: int, clients: int, rate: float | None) -> dict[str, Any]:
    """Seconds and status of each request, the client's own processor seconds, and all in all seconds."""
    local = threading.local()
    began = time.perf_counter() + 0.2

    def one(number: int) -> tuple[float, int, dict[str, float]]:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        start = time.perf_counter() if rate is None else began + number / rate
        time.sleep(max(0.0, start - time.perf_counter()))
        asked = {"user_id": f"u{first + number:06d}", "scene": "daily", "limit": 30, "debug": True}
        local.connection.request("POST", "/recommend", json.dumps(asked), {"Content-Type": "application/json"})
        answer = local.connection.getresponse()
        body = json.loads(answer.read())
        took = time.perf_counter() - start
        if answer.status == 200 and len(body["items"]) < asked["limit"]:
            raise AssertionError(f"{len(body['items'])} items for {asked}")
        return took, answer.status, body.get("trace", {}).get("stage_ms", {})

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(one, range(count)))
    return {
        "seconds": [took for took, _, _ in answers],
        "status": [status for _, status, _ in answers],
        "stage_ms": [stages for _, _, stages in answers],
        "cpu_s": time.process_time(),
        "wall_s": time.perf_counter() - began,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--clients", type=int, default=1)
    arguments = parser.parse_args()
    told = send_requests(arguments.port, arguments.first, arguments.count, arguments.clients, arguments.rate)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
